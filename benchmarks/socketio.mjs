// Socket.IO on the fan-out's work: a driver's position goes to the room of those who watch him. Prints its address.
// With REDIS_URL it does what a server of several processes must: Socket.IO's Redis adapter carries what is said to the
// other processes, and the newest position and the geo index are kept.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false, serveClient: false });
let keep = () => {};
if (process.env.REDIS_URL) {
  const { createClient } = await import("redis");
  const { createAdapter } = await import("@socket.io/redis-adapter");
  const [store, publish] = [createClient({ url: process.env.REDIS_URL }), createClient({ url: process.env.REDIS_URL })];
  const subscribe = publish.duplicate();
  await Promise.all([store.connect(), publish.connect(), subscribe.connect()]);
  io.adapter(createAdapter(publish, subscribe));
  keep = (driver, lat, lng, position) => {
    store.geoAdd("peer:geo", { longitude: lng, latitude: lat, member: `${driver}` });
    store.hSet("peer:positions", `${driver}`, JSON.stringify(position));
  };
}
io.on("connection", (socket) => {
  const { watch, driver } = socket.handshake.auth;
  if (watch !== undefined) socket.join(`driver:${watch}`);
  socket.on("fix", ([, lat, lng, heading, speed, t]) => {
    const position = [driver, lat, lng, heading, speed, t];
    keep(driver, lat, lng, position);
    io.to(`driver:${driver}`).emit("position", position);
  });
});
http.listen(0, "127.0.0.1", () => console.log(`open at http://127.0.0.1:${http.address().port}`));
