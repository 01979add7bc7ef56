// Tests of an application with a DynamoDB of its own, without Docker: `servedb` restores a dump, and stops after the tests.
//
//     npm install @aws-sdk/client-dynamodb @aws-sdk/client-dynamodb-streams @aws-sdk/lib-dynamodb
//     node --test examples/test-suite/films.test.mjs
//
// SERVEDB names another command than `servedb`. The application under test uses the SDK as on AWS: its endpoint, region and
// credentials come from the environment.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

// Like `import`, but NODE_PATH applies.
const require = createRequire(import.meta.url);
const { CreateTableCommand, DescribeTableCommand, DynamoDBClient, waitUntilTableExists } =
  require("@aws-sdk/client-dynamodb");
const { DescribeStreamCommand, DynamoDBStreamsClient, GetRecordsCommand, GetShardIteratorCommand } =
  require("@aws-sdk/client-dynamodb-streams");
const { BatchGetCommand, BatchWriteCommand, DynamoDBDocumentClient, PutCommand, QueryCommand, ScanCommand,
  TransactWriteCommand } = require("@aws-sdk/lib-dynamodb");

const dump = fileURLToPath(new URL("../../envs/sample", import.meta.url));

let servedb;
let dynamodb;

// Starts `servedb` with the tables of a dump, and puts its settings into the environment of this process.
async function startServedb(dump) {
  const [command, ...first] = (process.env.SERVEDB ?? "servedb").split(" ");
  const options = ["--no-env", "--memory", "--listen=127.0.0.1:0", `--from=${dump}`, "--quiet"];
  servedb = spawn(command, [...first, ...options], { stdio: ["ignore", "pipe", "inherit"] });

  // It prints them when it is ready; this is the last one.
  for await (const line of createInterface({ input: servedb.stdout })) {
    const [key, value] = line.split(/=(.*)/s);
    process.env[key] = value;
    if (key === "AWS_SECRET_ACCESS_KEY") return;
  }
  throw new Error("servedb is not ready");
}

async function createTable(name, options = {}) {
  await dynamodb.send(new CreateTableCommand({
    TableName: name,
    BillingMode: "PAY_PER_REQUEST",
    AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }],
    KeySchema: [{ AttributeName: "id", KeyType: "HASH" }],
    ...options,
  }));
  await waitUntilTableExists({ client: dynamodb, maxWaitTime: 30 }, { TableName: name });
}

before(async () => {
  await startServedb(dump);
  dynamodb = DynamoDBDocumentClient.from(new DynamoDBClient());
});

after(async () => {
  dynamodb.destroy();
  servedb.kill("SIGTERM");
  const [code] = await once(servedb, "exit");
  assert.equal(code, 0);
});

test("the dump is restored", async () => {
  const { Table } = await dynamodb.send(new DescribeTableCommand({ TableName: "FilmCatalogue" }));
  assert.equal(Table.ItemCount, 312);
});

test("an index is queried in its order", async () => {
  const { Items } = await dynamodb.send(new QueryCommand({
    TableName: "FilmCatalogue",
    IndexName: "by-genre",
    KeyConditionExpression: "genre = :genre",
    ExpressionAttributeValues: { ":genre": "fantasy" },
  }));
  const ratings = Items.map((film) => Number(film.rating));
  assert.ok(ratings.length > 1);
  assert.deepEqual(ratings, ratings.toSorted((one, other) => one - other));
});

test("a batch is written and read", async () => {
  await createTable("batches");
  const ids = Array.from({ length: 25 }, (_, number) => String(number));
  const requests = ids.map((id) => ({ PutRequest: { Item: { id, bytes: new Uint8Array([0, 1]) } } }));
  await dynamodb.send(new BatchWriteCommand({ RequestItems: { batches: requests } }));

  const Keys = ids.map((id) => ({ id }));
  const { Responses } = await dynamodb.send(new BatchGetCommand({ RequestItems: { batches: { Keys } } }));
  assert.equal(Responses.batches.length, 25);
});

test("a transaction is written completely or not at all", async () => {
  await createTable("accounts");
  await dynamodb.send(new PutCommand({ TableName: "accounts", Item: { id: "a", balance: 10 } }));
  const transfer = new TransactWriteCommand({
    TransactItems: [
      {
        Update: {
          TableName: "accounts",
          Key: { id: "a" },
          UpdateExpression: "SET balance = balance - :amount",
          ConditionExpression: "balance >= :amount",
          ExpressionAttributeValues: { ":amount": 20 },
        },
      },
      { Put: { TableName: "accounts", Item: { id: "b", balance: 20 } } },
    ],
  });
  await assert.rejects(dynamodb.send(transfer), { name: "TransactionCanceledException" });

  const { Items } = await dynamodb.send(new ScanCommand({ TableName: "accounts" }));
  assert.deepEqual(Items, [{ id: "a", balance: 10 }]);
});

test("a stream has a record of each change", async () => {
  await createTable("watched", { StreamSpecification: { StreamEnabled: true, StreamViewType: "NEW_IMAGE" } });
  await dynamodb.send(new PutCommand({ TableName: "watched", Item: { id: "a" } }));
  const { Table } = await dynamodb.send(new DescribeTableCommand({ TableName: "watched" }));

  const streams = new DynamoDBStreamsClient();
  const StreamArn = Table.LatestStreamArn;
  const { StreamDescription } = await streams.send(new DescribeStreamCommand({ StreamArn }));
  const { ShardIterator } = await streams.send(new GetShardIteratorCommand({
    StreamArn,
    ShardId: StreamDescription.Shards[0].ShardId,
    ShardIteratorType: "TRIM_HORIZON",
  }));
  const { Records } = await streams.send(new GetRecordsCommand({ ShardIterator }));
  assert.deepEqual(Records.map((record) => record.eventName), ["INSERT"]);
  streams.destroy();
});
