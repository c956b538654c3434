"""What can be asked, and what answers say: labels, what becomes of them when they change, who is to be believed."""

from labelloop.kinds.schema import Control, LabelSchema

__all__ = ["Control", "LabelSchema"]
