// A node's say in whether the embedded server runs: a lock that all its users share, held by a connection and so
// gone with its process, however that ends. Whoever leaves and can then have the lock alone was the last.
import type { Socket } from 'node:net'
import pg from 'pg'
import { codeOf } from '../base/errors.ts'
import type { ServerAddress } from './embedded-server.ts'

/** Of the database `postgres`, where only leases are. */
const key = 0x74726f6f

/** The server is on this machine: what takes longer than this does not answer. */
const answerMs = 10_000

/** pg shows no other way to a connection that is being made. */
interface WithSocket {
  readonly connection: { readonly stream: Socket }
}

export class Lease {
  readonly #client: pg.Client
  readonly #lost: () => void

  /**
   * Connects, takes the lock, and creates the database that the address names unless it is there.
   * @param lost  called once if the connection ends before `end` was called: the server is gone, or going
   * @param signal  cuts the connection while a silent server is waited for
   * @returns     undefined when somebody has it alone, and is stopping the server, or when the signal has aborted
   */
  static async take(
    address: ServerAddress,
    lost: () => void,
    signal?: AbortSignal,
  ): Promise<Lease | undefined> {
    if (signal?.aborted) return undefined
    const client = new pg.Client({
      ...address,
      database: 'postgres',
      application_name: 'troop lease',
      connectionTimeoutMillis: answerMs,
      query_timeout: answerMs,
      keepAlive: true,
    })
    // Always followed by `end`.
    client.on('error', () => {})
    const cut = () => (client as unknown as WithSocket).connection.stream.destroy()
    signal?.addEventListener('abort', cut, { once: true })
    try {
      await client.connect()
      const { rows } = await client.query(`select pg_try_advisory_lock_shared(${key}) as got`)
      if (rows[0].got) {
        await ensureDatabase(client, address.database)
        return new Lease(client, lost)
      }
    } catch (error) {
      await client.end()
      throw error
    } finally {
      signal?.removeEventListener('abort', cut)
    }
    await client.end()
    return undefined
  }

  private constructor(client: pg.Client, lost: () => void) {
    this.#client = client
    this.#lost = lost
    client.once('end', lost)
  }

  /**
   * Gives the lease up. True when nobody else has one: then the server is this caller's to stop, and whoever
   * comes meanwhile waits for that, until `end`.
   */
  async leave(): Promise<boolean> {
    this.#client.off('end', this.#lost)
    await this.#client.query(`select pg_advisory_unlock_shared(${key})`)
    const { rows } = await this.#client.query(`select pg_try_advisory_lock(${key}) as got`)
    return rows[0].got
  }

  async end(): Promise<void> {
    this.#client.off('end', this.#lost)
    await this.#client.end()
  }
}

async function ensureDatabase(client: pg.Client, name: string): Promise<void> {
  const found = await client.query('select from pg_database where datname = $1', [name])
  if (found.rowCount !== 0) return
  try {
    await client.query(`create database ${pg.escapeIdentifier(name)}`)
  } catch (error) {
    // duplicate_database, or unique_violation if both are at it at once: another node was faster.
    if (codeOf(error) !== '42P04' && codeOf(error) !== '23505') throw error
  }
}
