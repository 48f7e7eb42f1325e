"use strict";
// Calls Python's echo service through a node by `@grpc/grpc-js`: all four kinds of streams, deadlines and cancellation, as
// `grpc_streams.js ADDRESS`. It ends with 0 if all is as it should be.

const assert = require("node:assert/strict");
const grpc = require("@grpc/grpc-js");

const PATIENCE = 20_000;
const bytes = (value) => Buffer.from(value);
const method = (name, requestStream, responseStream) => ({
  path: `/acme.echo.v1.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
});
const Echo = grpc.makeGenericClientConstructor({
  unary: method("Unary", false, false),
  fail: method("Fail", false, false),
  sleep: method("Sleep", false, false),
  cancelled: method("Cancelled", false, false),
  count: method("Count", false, true),
  forever: method("Forever", false, true),
  total: method("Total", true, false),
  chat: method("Chat", true, true),
});
const echo = new Echo(process.argv[2], grpc.credentials.createInsecure());
const within = (ms) => ({ deadline: Date.now() + ms });

function call(name, request, ms = PATIENCE) {
  return new Promise((resolve, reject) => {
    echo[name](bytes(request), new grpc.Metadata(), within(ms), (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

async function unary() {
  const body = Buffer.alloc(100_000, 7);
  assert.deepEqual(await call("unary", body), body);
  const error = await call("fail", "details").then(() => assert.fail("it was answered"), (error) => error);
  assert.equal(error.code, grpc.status.FAILED_PRECONDITION);
  assert.equal(error.metadata.get("why")[0], "so");
}

async function deadline() {
  const error = await call("sleep", "", 500).then(() => assert.fail("it was answered"), (error) => error);
  assert.equal(error.code, grpc.status.DEADLINE_EXCEEDED);
  assert.equal(String(await call("cancelled", "")), "yes", "the handler was not told");
}

async function cancellation() {
  const endless = echo.forever(Buffer.alloc(1000), new grpc.Metadata(), within(PATIENCE));
  let seen = 0;
  const ended = new Promise((resolve) => endless.on("error", resolve));
  endless.on("data", () => ++seen === 100 && endless.cancel());
  assert.equal((await ended).code, grpc.status.CANCELLED);
  assert.equal(String(await call("cancelled", "")), "yes", "the handler was not told");
}

async function serverStream() {
  const counted = [];
  for await (const number of echo.count(bytes("2000"), new grpc.Metadata(), within(PATIENCE))) counted.push(String(number));
  assert.deepEqual([counted.length, counted.at(-1)], [2000, "1999"]);
}

async function clientStream() {
  const total = await new Promise((resolve, reject) => {
    const adding = echo.total(new grpc.Metadata(), within(PATIENCE), (error, answer) => (error ? reject(error) : resolve(answer)));
    for (let number = 0; number < 300; number++) adding.write(Buffer.alloc(10_000));
    adding.end();
  });
  assert.equal(String(total), "3000000");
}

async function bothStream() {
  const chat = echo.chat(new grpc.Metadata(), within(PATIENCE));
  let said = 0;
  chat.write(bytes(`${said}`));
  for await (const answer of chat) {
    assert.equal(String(answer), `re: ${said}`);
    said += 1;
    if (said < 50) chat.write(bytes(`${said}`));
    else chat.end();
  }
  assert.equal(said, 50);
}

async function main() {
  for (const check of [unary, deadline, cancellation, serverStream, clientStream, bothStream]) {
    console.log(check.name);
    await check();
  }
  echo.close();
}

main();
