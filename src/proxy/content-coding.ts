// How a body may be coded (RFC 9110, 8.4.1, and RFC 8878 for zstd), and what undoes it: whole, or as it passes.
import type { Duplex } from 'node:stream'
import { promisify } from 'node:util'
import {
  brotliDecompress,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createZstdDecompress,
  gunzip,
  inflate,
  zstdDecompress,
} from 'node:zlib'
import { describeError } from '../base/errors.ts'
import { UpstreamFailed } from './errors.ts'

const gzip = { whole: promisify(gunzip), passing: createGunzip }

const decoders = {
  gzip,
  'x-gzip': gzip,
  deflate: { whole: promisify(inflate), passing: createInflate },
  br: { whole: promisify(brotliDecompress), passing: createBrotliDecompress },
  zstd: { whole: promisify(zstdDecompress), passing: createZstdDecompress },
}

/** Whether it is not what it stands for. @param coding  as in `Content-Encoding` */
export function codedAs(coding: string | undefined): coding is string {
  return nameOf(coding) !== 'identity'
}

/** @throws {UpstreamFailed} for a coding that is not known, more bytes than may be held, and what is no such code */
export async function decodeWhole(
  body: Buffer,
  coding: string | undefined,
  bytesMax: number,
): Promise<Buffer> {
  if (!codedAs(coding) || body.length === 0) return body
  const { whole } = knownDecoder(coding)
  try {
    // Few bytes can stand for many.
    return await whole(body, { maxOutputLength: Math.max(1, bytesMax) })
  } catch (cause) {
    throw new UpstreamFailed('unchangeable', `a response cannot be decoded: ${describeError(cause)}`, cause)
  }
}

/** @throws {UpstreamFailed} for a coding that is not known */
export function decoderOf(coding: string): Duplex {
  return knownDecoder(coding).passing()
}

/** @throws {UpstreamFailed} */
export function requireKnownCoding(coding: string | undefined): void {
  if (codedAs(coding)) knownDecoder(coding)
}

function knownDecoder(coding: string): (typeof decoders)['gzip' | 'br'] {
  const name = nameOf(coding)
  const decoder = Object.hasOwn(decoders, name) ? decoders[name as keyof typeof decoders] : undefined
  if (decoder) return decoder
  throw new UpstreamFailed('unchangeable', `a response that a plugin changes is coded as ${coding}`)
}

function nameOf(coding: string | undefined): string {
  return coding?.trim().toLowerCase() ?? 'identity'
}
