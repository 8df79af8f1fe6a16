// Socket.IO on the fan-out's work: a driver's position goes to the room of those who watch him. Prints its address.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false, serveClient: false });
io.on("connection", (socket) => {
  const { watch, driver } = socket.handshake.auth;
  if (watch !== undefined) socket.join(`driver:${watch}`);
  socket.on("fix", ([, lat, lng, heading, speed, t]) => io.to(`driver:${driver}`).emit("position", [driver, lat, lng, heading, speed, t]));
});
http.listen(0, "127.0.0.1", () => console.log(`open at http://127.0.0.1:${http.address().port}`));
