"""Tests of an application with a DynamoDB of its own, without Docker: `servedb` restores a dump, and stops after the tests.

    pip install boto3
    python3 examples/test-suite/test_films.py

SERVEDB names another command than `servedb`. The application under test uses boto3 as on AWS: its endpoint, region and
credentials come from the environment.
"""

import os
import subprocess
import unittest
from decimal import Decimal
from pathlib import Path

import boto3
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError

DUMP = Path(__file__).parents[2] / "envs" / "sample"


def start_servedb(dump):
    """Starts `servedb` with the tables of a dump, and puts its settings into the environment of this process."""
    command = os.environ.get("SERVEDB", "servedb").split()
    arguments = ["--no-env", "--memory", "--listen=127.0.0.1:0", f"--from={dump}", "--quiet"]
    process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)

    # It prints them when it is ready; this is the last one.
    for line in process.stdout:
        key, value = line.strip().split("=", 1)
        os.environ[key] = value
        if key == "AWS_SECRET_ACCESS_KEY":
            return process

    raise RuntimeError(f"servedb ended with exit code {process.wait()}")


def setUpModule():
    global servedb
    servedb = start_servedb(DUMP)


def tearDownModule():
    servedb.terminate()
    servedb.stdout.close()
    assert servedb.wait(timeout=30) == 0


class FilmsTest(unittest.TestCase):
    def setUp(self):
        self.dynamodb = boto3.resource("dynamodb")
        self.films = self.dynamodb.Table("FilmCatalogue")

    def create_table(self, name, **options):
        table = self.dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            **options,
        )
        table.wait_until_exists()
        self.addCleanup(table.delete)
        return table

    def test_the_dump_is_restored(self):
        self.assertEqual(self.films.item_count, 312)
        film = self.films.scan(Limit=1)["Items"][0]
        self.assertEqual(self.films.get_item(Key={"director": film["director"], "title": film["title"]})["Item"], film)

    def test_an_index_is_queried_in_its_order(self):
        found = self.films.query(
            IndexName="by-genre",
            KeyConditionExpression=Key("genre").eq("fantasy") & Key("rating").gt(Decimal("5")),
            FilterExpression=Attr("year").gte(1900),
        )
        ratings = [film["rating"] for film in found["Items"]]
        self.assertGreater(len(ratings), 1)
        self.assertEqual(ratings, sorted(ratings))

    def test_a_batch_is_written_and_read(self):
        table = self.create_table("batches")
        with table.batch_writer() as batch:
            for number in range(60):
                batch.put_item({"id": str(number), "price": Decimal("1.50"), "tags": {"a", "b"}, "bytes": b"\x00\x01"})

        keys = [{"id": str(number)} for number in range(60)]
        found = self.dynamodb.batch_get_item(RequestItems={"batches": {"Keys": keys}})["Responses"]["batches"]
        self.assertEqual(len(found), 60)
        self.assertEqual(found[0]["price"], Decimal("1.5"))

    def test_a_transaction_is_written_completely_or_not_at_all(self):
        self.create_table("accounts").put_item(Item={"id": "a", "balance": 10})
        transfer = [
            {"Update": {
                "TableName": "accounts", "Key": {"id": "a"},
                "UpdateExpression": "SET balance = balance - :amount", "ConditionExpression": "balance >= :amount",
                "ExpressionAttributeValues": {":amount": 20},
            }},
            {"Put": {"TableName": "accounts", "Item": {"id": "b", "balance": 20}}},
        ]
        with self.assertRaises(ClientError) as raised:
            self.dynamodb.meta.client.transact_write_items(TransactItems=transfer)
        self.assertEqual(raised.exception.response["Error"]["Code"], "TransactionCanceledException")
        self.assertEqual(self.dynamodb.Table("accounts").scan()["Items"], [{"id": "a", "balance": 10}])

    def test_a_stream_has_a_record_of_each_change(self):
        # boto3 rejects the shard IDs of tables whose names have fewer than 11 characters.
        table = self.create_table(
            "watched-items", StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        )
        table.put_item(Item={"id": "a", "n": 1})
        table.update_item(Key={"id": "a"}, UpdateExpression="SET n = :n", ExpressionAttributeValues={":n": 2})
        table.delete_item(Key={"id": "a"})

        streams = boto3.client("dynamodbstreams")
        stream = table.latest_stream_arn
        shard = streams.describe_stream(StreamArn=stream)["StreamDescription"]["Shards"][0]["ShardId"]
        iterator = streams.get_shard_iterator(StreamArn=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
        records = streams.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
        self.assertEqual([record["eventName"] for record in records], ["INSERT", "MODIFY", "REMOVE"])
        self.assertEqual(records[1]["dynamodb"]["NewImage"]["n"], {"N": "2"})


if __name__ == "__main__":
    unittest.main()
