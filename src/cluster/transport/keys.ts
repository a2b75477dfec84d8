// The secrets that let a node in: what `cluster.encrypt` holds, and what `troop cluster keygen` prints.
import { createHmac } from 'node:crypto'
import type { Random } from '../../base/random.ts'
import { KeyInvalid } from '../errors.ts'

/** One pre-shared key. Whoever has it is one of the cluster's own. */
export interface ClusterKey {
  /** Names the key on the wire, in the clear; tells nothing about it. */
  readonly id: string
  /** 16 or 32 bytes. */
  readonly secret: Buffer
}

/** The first is used to dial, all are accepted. */
export type ClusterKeys = readonly [ClusterKey, ...ClusterKey[]]

/** 16 bytes is what the keys of Kong 0.8 have; new ones have 32. */
const keyBytes = { accepted: [16, 32], made: 32 }

/**
 * Parses keys in base64, as in `cluster.encrypt`. Two are needed only while nodes are moved from one to the other:
 * give all of them `[old, new]`, then `[new, old]`, then `[new]`, and at no time is any refused by another.
 * @throws {KeyInvalid} naming the place in the list, never the value
 */
export function parseKeys(texts: readonly string[]): ClusterKeys {
  const [first, ...others] = texts.map(parseKey)
  if (!first) throw new KeyInvalid('expected at least one key, got none')
  return [first, ...others]
}

/** A new key in base64. */
export function makeKey(random: Random): string {
  return Buffer.from(random.hex(keyBytes.made), 'hex').toString('base64')
}

function parseKey(text: string, index: number): ClusterKey {
  const secret = Buffer.from(text, 'base64')
  // Node's decoder skips what is not base64; what it made of the text must give the text again.
  const isBase64 = withoutPadding(secret.toString('base64')) === withoutPadding(text.trim())
  if (!isBase64) throw new KeyInvalid(`key ${index + 1} is not base64`)
  if (!keyBytes.accepted.includes(secret.length)) {
    throw new KeyInvalid(
      `key ${index + 1}: expected ${keyBytes.accepted.join(' or ')} bytes in base64, got ${secret.length}`,
    )
  }
  return { id: createHmac('sha256', secret).update('troop key id').digest('hex').slice(0, 16), secret }
}

function withoutPadding(text: string): string {
  return text.replace(/=+$/, '')
}
