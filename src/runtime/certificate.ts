import { createPrivateKey, X509Certificate } from "node:crypto";

/**
 * Checks that a certificate and its key can be read and belong together. Deno's `node:tls` looks
 * at them only in the handshake: a listener would turn all clients away.
 *
 * @throws {Error} If they do not.
 */
export function assertCertificate(
  { cert = "", key = "" }: {
    readonly cert?: string | undefined;
    readonly key?: string | undefined;
  },
): void {
  if (new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) return;
  throw new Error("the key is not the certificate's");
}
