// What an operator does with the files of a server: a hot standby that lags, and a copy that is put back later.
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import { EmbeddedServer } from '../../src/database/embedded-server.ts'
import type { TestServer } from './postgres.ts'

const run = promisify(execFile)

/**
 * Starts a hot standby of `server` that applies each commit `delayMs` after it was made. It is stopped and removed
 * with the server.
 * @returns  the port it listens on; users and passwords are the server's
 */
export async function startStandby(server: TestServer, delayMs: number): Promise<number> {
  const { host, port, user, password } = server
  const dir = join(dirname(server.dir), `standby-${systemRandom.hex(4)}`)
  const standby = await EmbeddedServer.open({
    ...{ dir, clock: systemClock, random: systemRandom, durable: false },
    settings: { fsync: 'off', shared_buffers: '32MB', hot_standby: 'on' },
  })
  const client = new pg.Client({ host, port, user, password, database: 'postgres' })
  await client.connect()
  try {
    await client.query(`select pg_backup_start('standby', true)`)
    await run('cp', ['-a', join(server.dir, 'data'), join(server.dir, 'password'), dir])
    const { rows } = await client.query('select labelfile from pg_backup_stop(false)')
    await writeFile(join(standby.data, 'backup_label'), rows[0].labelfile)
  } finally {
    await client.end()
  }
  await run('rm', [join(standby.data, 'postmaster.pid')])
  const upstream = `host=${host} port=${port} user=${user} password=${password}`
  const lines = [`primary_conninfo = '${upstream}'`, `recovery_min_apply_delay = '${delayMs}ms'`, '']
  await writeFile(join(standby.data, 'postgresql.auto.conf'), lines.join('\n'))
  await writeFile(join(standby.data, 'standby.signal'), '')
  // Its account owns what it is to read and take away.
  await run('chown', ['-R', '--reference', join(server.dir, 'data'), standby.data])
  return standby.start()
}

/** Copies the data of a running server, as of now, and lets it go on. Resolves with the call that puts the copy back. */
export async function copyData(server: TestServer): Promise<() => Promise<void>> {
  const data = join(server.dir, 'data')
  const copy = join(server.dir, `copy-${systemRandom.hex(4)}`)
  await server.stop()
  await run('cp', ['-a', data, copy])
  await server.start()
  return async () => {
    await server.stop()
    await run('rm', ['-rf', data])
    await run('mv', [copy, data])
    await server.start()
  }
}
