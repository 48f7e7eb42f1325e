"use strict";
// Reads a stream of Server-Sent Events by `eventsource`, which connects again by itself and says what it has seen last:
// `events.js URL`. Each change is a line of JSON on standard output, and so is each connection. The token comes by
// MICRO_NODE_TOKEN.

const { EventSource } = require("eventsource");

const authorization = `Bearer ${process.env.MICRO_NODE_TOKEN}`;
const source = new EventSource(process.argv[2], {
  fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, authorization } }),
});

const told = (line) => console.log(JSON.stringify(line));

source.addEventListener("open", () => told({ open: true }));
source.addEventListener("error", ({ code, message }) => told({ error: message ?? "the connection broke", code }));
source.addEventListener("message", ({ data, lastEventId }) => told({ ...JSON.parse(data), lastEventId }));
