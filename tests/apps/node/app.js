// A small shop that measures itself, reports its errors and tells what was done, with the portal's snippets.
"use strict";
const Sentry = require("./errors.js");
const http = require("node:http");
const log = require("./logs.js");
const { measure, metrics } = require("./metrics.js");
const { audit, transport } = require("./audit.js");
const tracing = require("./traces.js");

const routes = {
  "/metrics": metrics,
  "/pay": (_request, response) => {
    audit.info("payment.taken", { actor_name: "shop-till", target_type: "payment", target_id: "77" });
    log.info("A payment was taken.");
    response.end("paid\n");
  },
  "/odd": (_request, response) => {
    audit.info("Not An Action");
    audit.info("payment.refunded");
    response.end("odd\n");
  },
  "/crash": () => {
    throw new Error("the till is on fire");
  },
};

const server = http.createServer((request, response) => {
  const path = new URL(request.url, "http://shop").pathname;
  const handler = routes[path];
  if (handler) request.route = { path };
  measure(request, response, async () => {
    try {
      if (!handler) response.statusCode = 404;
      await (handler ? handler(request, response) : response.end());
    } catch (error) {
      Sentry.captureException(error);
      response.statusCode = 500;
      response.end();
    }
  });
});

transport.on("warn", (error) => console.error(`audit: ${error.message}`));
server.listen(0, "127.0.0.1", () => console.log(`listening ${server.address().port}`));
process.on("SIGTERM", async () => {
  server.close();
  await Promise.allSettled([transport.close(), Sentry.close(5000), tracing.shutdown()]);
  process.exit(0);
});
