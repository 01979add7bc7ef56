"""A function for --transform-python examples/rekey.py:rekey.

It receives an item with the types of boto3 and returns the item to write, None to skip it, or a list of items. An exception rejects
the item: it is written to the rejects file with the message, and the other items are processed.
"""


def rekey(item):
    """Set the new sort key to "type#timestamp" and remove the old one."""
    item["new_sk"] = f"{item['type']}#{item['timestamp']}"
    item.pop("old_sk", None)
    return item
