import type { Socket } from "node:net";

/** Who a socket's events go to. */
export interface SocketUser {
  /** Bytes came, and belong to the user. */
  receive(chunk: Uint8Array): void;
  /** The socket is closed: the last call. A peer that sends no more closes it as well. */
  gone(): void;
}

const USER = Symbol("user");
type LinkedSocket = Socket & { [USER]?: SocketUser | undefined };

/**
 * Sends a socket's events to a user, in the place of the one before.
 *
 * All sockets share the same listeners, and they stay when the user changes: closures of each
 * socket's own, and listeners that come and go, would cost an idle connection a kilobyte.
 */
export function linkSocket(socket: Socket, user: SocketUser): void {
  const linked = socket as LinkedSocket;
  const isFirst = linked[USER] === undefined;
  linked[USER] = user;
  if (!isFirst) return;
  // Nobody listens to "end", which would make an array for each socket.
  socket.allowHalfOpen = false;
  socket.on("data", onData);
  socket.on("error", onError);
  socket.on("close", onClose);
}

/** Lets somebody else read a socket. Its user still hears when it closes. */
export function lendSocket(socket: Socket): void {
  socket.removeListener("data", onData);
  socket.allowHalfOpen = true;
}

/** Gives a socket that was lent away for good: its user hears nothing more. */
export function unlinkSocket(socket: Socket): void {
  const linked = socket as LinkedSocket;
  linked[USER] = undefined;
  socket.removeListener("error", onError);
  socket.removeListener("close", onClose);
}

function onData(this: LinkedSocket, chunk: Uint8Array): void {
  this[USER]?.receive(chunk);
}

// A socket that breaks tells so, and then that it is closed, which is what matters.
function onError(): void {}

function onClose(this: LinkedSocket): void {
  this[USER]?.gone();
}
