#!/usr/bin/env python3
"""A transform in Python, for --transform-command 'python3 examples/transform.py'.

Write `transform`: it gets an item in DynamoDB JSON, {"name": {"S": "…"}}, and returns the item to write, or None to leave it
out. To reject an item, raise an exception: the item goes to the rejects with its message, and the others go on.

Numbers are strings ({"N": "1.50"}), so that no digit is lost: Decimal(item["price"]["N"]) computes with them.
"""

import json
import sys


def transform(item):
    """The new sort key is "type#timestamp"; the old one goes."""
    item["new_sk"] = {"S": f"{item['type']['S']}#{item['timestamp']['N']}"}
    item.pop("old_sk", None)
    return item


def main():
    # One line out for each line in. What should be seen while it runs goes to standard error.
    for line in sys.stdin:
        try:
            item = transform(json.loads(line))
            answer = {"skip": True} if item is None else item
        except Exception as error:  # whatever it is, it is about this item
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer, ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main()
