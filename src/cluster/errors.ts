// What can go wrong between nodes, as callers treat it differently.
import { TroopError } from '../base/errors.ts'

/** A key of the traffic between nodes is not one. The message never shows it. */
export class KeyInvalid extends TroopError {
  constructor(message: string) {
    super('key-invalid', message, { hint: 'troop cluster keygen' })
  }
}

/** The machine answers, and no node listens at that address: whoever was there has gone. */
export class NothingListens extends TroopError {
  constructor(address: string) {
    super('nothing-listens', `no node listens at ${address}`)
  }
}

/** No connection came about in time, or it broke on the way. */
export class PeerUnreachable extends TroopError {
  constructor(address: string, cause: unknown) {
    super('peer-unreachable', `the node at ${address} cannot be reached`, { cause })
  }
}

/** What listens there does not have the cluster's key, or does not accept ours. */
export class PeerUntrusted extends TroopError {
  constructor(address: string, cause?: unknown) {
    super('peer-untrusted', `what listens at ${address} does not share this cluster's key`, {
      cause,
      hint: 'cluster.encrypt must hold the same key on all nodes, or be unset on all of them',
    })
  }
}

/** One of the two nodes does not want the other, and both know why. */
export class HelloRefused extends TroopError {
  /** A `RefusalReason`, or what a newer node calls it. */
  readonly reason: string
  readonly by: 'us' | 'them'

  constructor(address: string, by: 'us' | 'them', { reason, message }: { reason: string; message: string }) {
    const who = by === 'them' ? `the node at ${address} refused` : `refused the node at ${address}`
    super('hello-refused', `${who} (${reason}): ${message}`)
    this.reason = reason
    this.by = by
  }
}

/** This node has stopped talking to others, or has not begun to. */
export class TransportStopped extends TroopError {
  constructor() {
    super('transport-stopped', 'this node does not talk to other nodes now')
  }
}

/** Another process lives under this node's name: its working directory was copied, or is used twice. */
export class NameTaken extends TroopError {
  constructor(name: string, address: string) {
    super('name-taken', `another node runs under the name ${name}, at ${address}`, {
      hint: 'give each node a working directory of its own: remove the file node-name from a copied one',
    })
  }
}

/** Nodes of other machines would look for this one on their own. */
export class LoopbackAdvertised extends TroopError {
  constructor(address: string, other: string) {
    super(
      'loopback-advertised',
      `cluster.advertise: ${address} cannot be reached from another machine, and ${other} is on one`,
      {
        hint: 'set cluster.advertise to an address of this machine that the other nodes can reach',
      },
    )
  }
}
