// A real browser without a screen: Chromium, driven by its own protocol (https://chromedevtools.github.io/devtools-protocol/).
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WebSocket } from 'ws'

/** It is to call nobody but the page under test, and to trust the certificate of the tests. */
const flags = [
  ...[
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--disable-quic',
    '--disable-sync',
  ],
  ...[
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-extensions',
  ],
  ...['--no-proxy-server', '--ignore-certificate-errors', '--remote-debugging-port=0'],
]

interface Reply {
  readonly id?: number
  readonly error?: { readonly message: string }
  // biome-ignore lint/suspicious/noExplicitAny: it depends on what was asked
  readonly result?: any
}

export class Browser {
  readonly #dir: string
  readonly #child: ChildProcess
  readonly #socket: WebSocket
  #asked = 0
  /** Of the one page that is driven. */
  #session: string | undefined

  private constructor(dir: string, child: ChildProcess, socket: WebSocket) {
    this.#dir = dir
    this.#child = child
    this.#socket = socket
  }

  /** @param program  its path, see program.ts */
  static async start(program: string): Promise<Browser> {
    const dir = await mkdtemp(join(tmpdir(), 'troop-browser-'))
    // In a group of its own: it is several processes.
    const child = spawn(program, [...flags, `--user-data-dir=${dir}`, 'about:blank'], {
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
      env: { ...process.env, HOME: dir },
    })
    const socket = new WebSocket(await debuggerOf(child), { maxPayload: 1e8 })
    socket.setMaxListeners(0)
    await once(socket, 'open')
    const browser = new Browser(dir, child, socket)
    const { targetId } = await browser.#ask('Target.createTarget', { url: 'about:blank' })
    browser.#session = (await browser.#ask('Target.attachToTarget', { targetId, flatten: true })).sessionId
    await browser.#ask('Page.enable')
    return browser
  }

  /** Resolves when the page has loaded, with all that it names. */
  async open(url: string): Promise<void> {
    const loaded = this.#heard((message) => message.method === 'Page.loadEventFired')
    const { errorText } = await this.#ask('Page.navigate', { url })
    if (errorText !== undefined) throw new Error(`${url}: ${errorText}`)
    await loaded
  }

  /**
   * Calls a function in the page, and resolves with what it returns, or what its promise resolves with.
   * @param call  takes nothing from around it but `values`: its text is what goes to the page
   */
  async run<T, A extends readonly unknown[]>(
    call: (...values: A) => T | Promise<T>,
    ...values: A
  ): Promise<T> {
    const { result, exceptionDetails } = await this.#ask('Runtime.evaluate', {
      expression: `(${call})(...${JSON.stringify(values)})`,
      awaitPromise: true,
      returnByValue: true,
    })
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
    return result.value
  }

  async stop(): Promise<void> {
    this.#socket.terminate()
    process.kill(-(this.#child.pid as number), 'SIGKILL')
    if (this.#child.signalCode === null) await once(this.#child, 'exit')
    await rm(this.#dir, { recursive: true, force: true, maxRetries: 5 })
  }

  async #ask(method: string, params: object = {}) {
    const id = ++this.#asked
    const replied = this.#heard((message) => message.id === id)
    this.#socket.send(JSON.stringify({ id, method, params, sessionId: this.#session }))
    const { error, result } = await replied
    if (error) throw new Error(`${method}: ${error.message}`)
    return result
  }

  #heard(fits: (message: Reply & { method?: string }) => boolean): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const hear = (data: Buffer) => {
        const message = JSON.parse(String(data))
        if (!fits(message)) return
        this.#socket.off('message', hear)
        resolve(message)
      }
      this.#socket.on('message', hear)
      this.#socket.once('close', () => reject(new Error('the browser has ended')))
    })
  }
}

/** Where it listens, as it says itself. */
function debuggerOf(child: ChildProcess): Promise<string> {
  let printed = ''
  return new Promise((resolve, reject) => {
    child.stderr?.setEncoding('utf8').on('data', (text) => {
      printed += text
      const url = /DevTools listening on (ws:\/\/\S+)/.exec(printed)?.[1]
      if (url !== undefined) resolve(url)
    })
    child.once('error', reject)
    child.once('exit', () => reject(new Error(`the browser did not start:\n${printed}`)))
  })
}
