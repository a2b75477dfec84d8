// What can keep the command line from reaching a node.
import { TroopError } from '../base/errors.ts'

/** The first message on a control connection did not carry the node's token. */
export class ControlRefused extends TroopError {
  constructor(why: string) {
    super('control-refused', why, {
      hint: "run the command as the user that started the node, with the node's own configuration",
    })
  }
}

/** The node was asked for what it does not do. */
export class ControlUnknown extends TroopError {
  constructor(method: string) {
    super('control-unknown', `the node does not know the command "${method}"`, {
      hint: 'restart the node: it may run an older version than the command line',
    })
  }
}

/** Nothing answers where the node should. */
export class ControlAway extends TroopError {
  constructor(where: string, cause: unknown) {
    super('control-away', `the node cannot be reached by ${where}`, { cause })
  }
}
