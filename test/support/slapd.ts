// A real OpenLDAP server in the foreground, as Debian packs it, with a directory and a port of its own; it counts what
// it is asked.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { certificate, certificateKey } from './certificate.ts'
import { freePort } from './free-port.ts'

/** Between looking for a free port and listening on it another program may take it. */
const attemptsMax = 5

/** Connections of ours, which don't count. */
const probes = 1

export const slapdBase = 'ou=people,dc=example,dc=com'

export interface SlapdOptions {
  /** Names (`uid`) and passwords. */
  readonly people: Readonly<Record<string, string>>
  /** Whether it refuses to bind anybody in the clear. */
  readonly demandsTls?: boolean
}

export class Slapd {
  readonly program: string
  readonly port: number
  readonly #dir: string
  readonly #child: ChildProcess
  readonly #said: () => string

  private constructor(program: string, dir: string, port: number, child: ChildProcess, said: () => string) {
    this.program = program
    this.#dir = dir
    this.port = port
    this.#child = child
    this.#said = said
  }

  /** @param program  its path, see program.ts */
  static async start(program: string, options: SlapdOptions): Promise<Slapd> {
    const dir = await mkdtemp(join(tmpdir(), 'troop-slapd-'))
    const config = await prepare(dir, options)
    const loaded = spawn(program, ['-T', 'add', '-f', config, '-l', join(dir, 'people.ldif')], {
      stdio: 'pipe',
    })
    const failed = listen(loaded)
    if ((await once(loaded, 'close'))[0] !== 0) throw new Error(`slapd did not load:\n${failed()}`)
    for (let attempt = 1; ; attempt++) {
      const port = await freePort()
      const child = spawn(program, ['-d', 'stats', '-f', config, '-h', `ldap://127.0.0.1:${port}/`], {
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      const said = listen(child)
      if (await isStarted(child, said, port)) return new Slapd(program, dir, port, child, said)
      if (attempt < attemptsMax && said().includes('in use')) continue
      await rm(dir, { recursive: true })
      throw new Error(`slapd did not start:\n${said()}`)
    }
  }

  /** The names that it was asked to bind, in order. */
  get binds(): readonly string[] {
    return [...this.#said().matchAll(/ BIND dn="([^"]*)" method=128$/gm)].map(([, dn]) => dn as string)
  }

  /** Resolves when it has said that it was asked to bind `dn`: all that came before is in `binds` then. */
  async heard(dn: string): Promise<void> {
    while (!this.binds.includes(dn)) await once(this.#child.stderr as NodeJS.ReadableStream, 'data')
  }

  get connections(): number {
    return [...this.#said().matchAll(/ ACCEPT from /g)].length - probes
  }

  /** Of connections, those that it has seen the end of. */
  get ended(): number {
    return [...this.#said().matchAll(/ fd=\d+ closed/g)].length - probes
  }

  /** Resolves when it has seen the end of so many connections. */
  async closed(count: number): Promise<void> {
    while (this.ended < count) await once(this.#child.stderr as NodeJS.ReadableStream, 'data')
  }

  /** Returns when it stands still: a signal comes to its threads one after the other, and one may be answering. */
  pause(): void {
    this.#child.kill('SIGSTOP')
    while (!isStopped(this.#child.pid as number));
  }

  resume(): void {
    this.#child.kill('SIGCONT')
  }

  async stop(): Promise<void> {
    this.resume()
    this.#child.kill('SIGTERM')
    if (this.#child.exitCode === null) await once(this.#child, 'exit')
    await rm(this.#dir, { recursive: true, force: true })
  }
}

async function prepare(dir: string, { people, demandsTls = false }: SlapdOptions): Promise<string> {
  const config = join(dir, 'slapd.conf')
  await mkdir(join(dir, 'data'))
  await writeFile(join(dir, 'certificate.pem'), certificate)
  await writeFile(join(dir, 'key.pem'), certificateKey)
  await writeFile(join(dir, 'people.ldif'), entries(people))
  await writeFile(
    config,
    `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile ${dir}/slapd.pid
argsfile ${dir}/slapd.args
# As many directories do: a name without a password is bound, as nobody.
allow bind_anon_cred
TLSCertificateFile ${dir}/certificate.pem
TLSCertificateKeyFile ${dir}/key.pem
${demandsTls ? 'security simple_bind=64' : ''}
database mdb
maxsize 10485760
suffix "dc=example,dc=com"
directory ${dir}/data
`,
  )
  return config
}

/** Values in base64, which takes whatever a name is. */
function entries(people: SlapdOptions['people']): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  const folders = `dn: dc=example,dc=com\nobjectClass: domain\ndc: example\n
dn: ${slapdBase}\nobjectClass: organizationalUnit\nou: people\n\n`
  const persons = Object.entries(people).map(([name, password]) => {
    const escaped = [...Buffer.from(name)].map((byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('')
    const dn = base64(`uid=${escaped},${slapdBase}`)
    const value = base64(name)
    return `dn:: ${dn}\nobjectClass: inetOrgPerson\nuid:: ${value}\ncn:: ${value}\nsn:: ${value}
userPassword:: ${base64(password)}\n`
  })
  return folders + persons.join('\n')
}

/** Gathers what it says of itself. */
function listen(child: ChildProcess): () => string {
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text) => {
    said += text
  })
  return () => said
}

async function isStarted(child: ChildProcess, said: () => string, port: number): Promise<boolean> {
  const ended = once(child, 'close').then(() => 'ended')
  while (!said().includes('slapd starting')) {
    const next = await Promise.race([ended, once(child.stderr as NodeJS.ReadableStream, 'data')])
    if (next === 'ended') return false
  }
  // It says so a moment before it listens.
  while (!(await probe(port))) await sleep(5)
  return true
}

async function probe(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/** Whether all threads stand still, where the system tells (procfs(5)). */
function isStopped(pid: number): boolean {
  const tasks = `/proc/${pid}/task`
  if (!existsSync(tasks)) return true
  return readdirSync(tasks).every((task) => /\) T /.test(readFileSync(`${tasks}/${task}/stat`, 'latin1')))
}
