// The messages of LDAP (RFC 4511) by which a name and a password are checked.
import { type Element, element, elementsOf, integer, numberOf, tags, text } from './ber.ts'

const version = 3
const startTlsName = '1.3.6.1.4.1.1466.20037'

const operations = {
  bindRequest: 0x60,
  bindResponse: 0x61,
  unbindRequest: 0x42,
  extendedRequest: 0x77,
  extendedResponse: 0x78,
} as const

/** What a server answers to one request. */
export interface Answer {
  readonly messageId: number
  readonly kind: 'bind' | 'extended'
  /** The result code: 0 is success (RFC 4511, appendix A). */
  readonly code: number
  /** What the server says besides, for people. */
  readonly diagnostic: string
}

/** A simple bind. An empty password would be an anonymous one, which succeeds: it is not for here. */
export function bindRequest(messageId: number, dn: string, password: string): Buffer {
  const simple = element(0x80, Buffer.from(password))
  const operation = element(operations.bindRequest, integer(version), text(dn), simple)
  return element(tags.sequence, integer(messageId), operation)
}

export function startTlsRequest(messageId: number): Buffer {
  const operation = element(operations.extendedRequest, element(0x80, Buffer.from(startTlsName)))
  return element(tags.sequence, integer(messageId), operation)
}

/** Has no answer: the server closes. */
export function unbindRequest(messageId: number): Buffer {
  return element(tags.sequence, integer(messageId), element(operations.unbindRequest))
}

/** @param bytes  exactly one message. @throws {RangeError} when it is none that is understood */
export function parseAnswer(bytes: Buffer): Answer {
  const [message] = elementsOf(bytes)
  if (message?.tag !== tags.sequence) throw new RangeError('not a message of LDAP')
  const [id, operation] = elementsOf(message.content)
  const [code, matched, diagnostic] = operation && isAnswer(operation) ? elementsOf(operation.content) : []
  const isWhole = matched?.tag === tags.text && diagnostic?.tag === tags.text
  if (id?.tag !== tags.integer || code?.tag !== tags.enumerated || !isWhole) {
    throw new RangeError('not an answer of LDAP')
  }
  return {
    messageId: numberOf(id),
    kind: operation?.tag === operations.bindResponse ? 'bind' : 'extended',
    code: numberOf(code),
    diagnostic: diagnostic.content.toString(),
  }
}

function isAnswer({ tag }: Element): boolean {
  return tag === operations.bindResponse || tag === operations.extendedResponse
}
