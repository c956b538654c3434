"""For tests of your own components: the contract of every extension point, and fakes that keep them."""
