import { createConnection, createServer } from "node:net";
import { type Mesh, mesh } from "../../../src/backplane/mesh/mesh_backplane.ts";
import { testBackplane } from "../../contract/backplane_contract.ts";

testBackplane({
  name: "mesh",
  async run(body) {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as { port: number };
    try {
      await body({
        create: (seed) => {
          const peers = seed === undefined ? [] : [`127.0.0.1:${(seed as Mesh).port}`];
          return mesh({ port: 0, peers });
        },
        createBroken: () => ({ backplane: mesh({ port }), says: new RegExp(`127.0.0.1:${port}`) }),
        isOpen: (backplane) => isAccepting((backplane as Mesh).port),
      });
    } finally {
      await new Promise((resolve) => taken.close(resolve));
    }
  },
});

function isAccepting(port: number): Promise<boolean> {
  // Before the start there is no port.
  if (port === 0) return Promise.resolve(false);
  return new Promise((resolve) => {
    const socket = createConnection({ port, host: "127.0.0.1" });
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}
