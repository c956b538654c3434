"""What tests of several rooms share: worlds, people, servers that are not what they seem."""
