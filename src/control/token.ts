// The file by which the command line finds a node and proves that it may command it: whoever can read it may.
import { createHash, timingSafeEqual } from 'node:crypto'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { z } from 'zod'
import type { Random } from '../base/random.ts'
import { ControlRefused } from './errors.ts'

/** Where a node listens and what it wants to hear first. */
export interface ControlAccess {
  /** `host:port` as bound, so a port that the system chose is found too. */
  readonly address: string
  /** 32 random bytes in hex, new with every start. */
  readonly token: string
}

const controlAccess = z.object({ address: z.string(), token: z.string().regex(/^[0-9a-f]{64}$/) })

export function makeToken(random: Random): string {
  return random.hex(32)
}

/** Writes the file so that only its owner can read it, and never half of it. */
export async function writeControlAccess(path: string, access: ControlAccess, random: Random): Promise<void> {
  const temporary = `${path}.${random.hex(4)}`
  try {
    await writeFile(temporary, `${JSON.stringify(access)}\n`, { flag: 'wx', mode: 0o600, flush: true })
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

/**
 * Reads the file.
 * @returns  undefined when there is none: no node has opened its control there
 * @throws {ControlRefused} when this user may not read it, or it holds something else
 */
export async function readControlAccess(path: string): Promise<ControlAccess | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new ControlRefused(`the control token in ${path} cannot be read by this user`)
  }
  const parsed = controlAccess.safeParse(parseJson(text))
  if (!parsed.success) throw new ControlRefused(`${path} does not hold a control token`)
  return parsed.data
}

/** Compares in a time that tells nothing about where the texts differ. */
export function sameToken(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
