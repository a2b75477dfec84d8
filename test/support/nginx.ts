// A real nginx in the foreground, with a directory and a port of its own, in one process.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'

export interface NginxPlace {
  readonly port: number
  /** What it serves by default: `files` within its directory. */
  readonly files: string
}

/** What goes into the block `http` of its configuration. */
export type NginxConfig = (place: NginxPlace) => string

/** Between looking for a free port and listening on it another program may take it. */
const attemptsMax = 5

export class Nginx {
  readonly place: NginxPlace
  readonly #dir: string
  readonly #child: ChildProcess

  private constructor(dir: string, place: NginxPlace, child: ChildProcess) {
    this.#dir = dir
    this.place = place
    this.#child = child
  }

  /** @param program  its path, see program.ts */
  static async start(program: string, config: NginxConfig): Promise<Nginx> {
    const dir = await mkdtemp(join(tmpdir(), 'troop-nginx-'))
    const files = join(dir, 'files')
    await mkdir(files)
    for (let attempt = 1; ; attempt++) {
      const place = { port: await freePort(), files }
      const path = join(dir, 'nginx.conf')
      await writeFile(path, configuration(dir, config(place)))
      const child = spawn(program, ['-p', dir, '-c', path, '-e', 'stderr'], {
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      const failure = await listening(child)
      if (failure === undefined) return new Nginx(dir, place, child)
      if (attempt < attemptsMax && failure.includes('Address already in use')) continue
      await rm(dir, { recursive: true })
      throw new Error(`nginx did not start:\n${failure}`)
    }
  }

  get pid(): number {
    return this.#child.pid as number
  }

  get port(): number {
    return this.place.port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM')
    if (this.#child.exitCode === null) await once(this.#child, 'exit')
    await rm(this.#dir, { recursive: true })
  }
}

function configuration(dir: string, http: string): string {
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return `
    daemon off;
    master_process off;
    pid ${dir}/nginx.pid;
    error_log stderr notice;
    worker_rlimit_nofile 4096;
    events { worker_connections 2048; }
    http {
      ${kinds.map((kind) => `${kind}_temp_path ${dir}/${kind};`).join(' ')}
      access_log off;
      ${http}
    }`
}

/** Resolves once it listens, or with what it printed before it ended. */
function listening(child: ChildProcess): Promise<string | undefined> {
  let printed = ''
  return new Promise((resolve, reject) => {
    child.stderr?.setEncoding('utf8').on('data', (text) => {
      printed += text
      // It says which method it waits for events with when all ports are open.
      if (/using the "\w+" event method/.test(printed)) resolve(undefined)
    })
    child.once('error', reject).once('close', () => resolve(printed))
  })
}
