#!/usr/bin/env python3
"""A transform in Python, for --transform-command 'python3 examples/transform.py'.

Edit `transform`: it receives an item in DynamoDB JSON, {"name": {"S": "…"}}, and returns the item to write, or None to skip
the item. To reject an item, raise an exception: the item is written to the rejects file with the message, and the other items
are processed.

Numbers are strings ({"N": "1.50"}), so that no digit is lost: use Decimal(item["price"]["N"]) to compute with them.
"""

import json
import sys


def transform(item):
    """Set the new sort key to "type#timestamp" and remove the old one."""
    item["new_sk"] = {"S": f"{item['type']['S']}#{item['timestamp']['N']}"}
    item.pop("old_sk", None)
    return item


def main():
    # Print one line for each input line. Write messages to standard error.
    for line in sys.stdin:
        try:
            item = transform(json.loads(line))
            answer = {"skip": True} if item is None else item
        except Exception as error:  # every exception rejects this item only
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer, ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main()
