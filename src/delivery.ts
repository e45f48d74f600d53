import type { FrameContent } from "./core/frame_content.ts";
import type { Message } from "./core/message.ts";
import { Outgoing } from "./edge/client_socket.ts";
import { frameContents } from "./protocol/message_frames.ts";

/**
 * This tick's messages of one channel, on their way to all of its subscribers on this node.
 *
 * The frames for clients are encoded once, when the first client asks for them.
 */
export class Delivery {
  /** The channel. */
  readonly channel: string;
  /** The messages, oldest first. */
  readonly messages: readonly Message[];
  #frames: readonly Outgoing[] | undefined;

  /** Takes the messages of one channel. */
  constructor(channel: string, messages: readonly Message[]) {
    this.channel = channel;
    this.messages = messages;
  }

  /** What clients are sent, in order: mostly one frame. */
  get frames(): readonly Outgoing[] {
    this.#frames ??= frameContents(this.channel, this.messages).map(toOutgoing);
    return this.#frames;
  }
}

function toOutgoing(content: FrameContent): Outgoing {
  return new Outgoing(content);
}
