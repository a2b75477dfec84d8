// One worker as the agent holds it: the thread, its end of the catalog, and what it was asked and has not answered.
import type { HeapInfo } from 'node:v8'
import { MessageChannel, Worker } from 'node:worker_threads'
import { type Clock, within } from '../base/clock.ts'
import { Histogram } from '../base/histogram.ts'
import type { Logger } from '../base/logger.ts'
import { loopDelayBoundsMs } from '../base/loop-delay.ts'
import { threadTimes } from '../base/process.ts'
import type { AgentCatalog } from '../catalog/agent-catalog.ts'
import { AgentLink, openLink } from '../catalog/link.ts'
import { type Whereabout, Whereabouts, whereaboutsBytes } from '../proxy/whereabouts.ts'
import type { CountBatch } from './counters/batch.ts'
import { serveCounting } from './counters/counting-link.ts'
import { WorkerFailed } from './errors.ts'
import type { RowWriter } from './row-writer.ts'
import { stackOf } from './stack.ts'
import type {
  Answer,
  CountingSetup,
  FromWorker,
  ProxyAddresses,
  ProxySetup,
  ToWorker,
  WorkerLine,
  WorkerSetup,
} from './thread.ts'
import type { Sight, Watched } from './watchdog.ts'
import { serveWriting } from './writing-link.ts'

export interface WorkerThreadOptions {
  readonly catalog: AgentCatalog
  readonly setup: Omit<WorkerSetup, 'catalog' | 'counting' | 'whereabouts' | 'writing'>
  /** How it counts requests, for this node and for all of them. */
  readonly counting: Omit<CountingSetup, 'port'> & { readonly countBatch: CountBatch }
  /** Writes what its plugins ask for. */
  readonly rowWriter: RowWriter
  readonly clock: Clock
  readonly logger: Logger
}

interface Question {
  readonly answer: Answer
  readonly resolve: (message: FromWorker) => void
  readonly reject: (error: Error) => void
}

/** Loading plugins and a first seed of 100,000 APIs take seconds on a busy machine. */
const prepareLimitMs = 60_000
const openLimitMs = 10_000
/** The thread is interrupted; one that does not come to it in this time stands still outside of JavaScript. */
const interruptLimitMs = 1000
/** For which it is looked at what it executes: some tens of samples. */
const profileMs = 50

export class WorkerThread implements Watched {
  /** Resolves when the thread has ended, with the error that ended it if there was one. */
  readonly ended: Promise<unknown>
  readonly #options: WorkerThreadOptions
  readonly #thread: Worker
  readonly #link: AgentLink
  readonly #ready: Promise<FromWorker>
  readonly #questions: Question[] = []
  readonly #beats: Histogram
  readonly #whereabouts: Whereabouts
  /** By which the system knows it. */
  #name: string | undefined
  #listens = false

  constructor(options: WorkerThreadOptions) {
    const { catalog, setup, rowWriter, logger } = options
    const { countBatch, ...shared } = options.counting
    this.#options = options
    const { agent, worker } = openLink()
    const counting = new MessageChannel()
    serveCounting(counting.port1, countBatch)
    const whereabouts = new SharedArrayBuffer(whereaboutsBytes)
    this.#whereabouts = new Whereabouts(whereabouts)
    this.#beats = new Histogram(loopDelayBoundsMs, new Float64Array(setup.counts.loopDelay))
    const writing = new MessageChannel()
    serveWriting(writing.port1, rowWriter)
    const workerData: WorkerSetup = {
      ...setup,
      catalog: worker,
      whereabouts,
      counting: { ...shared, port: counting.port2 },
      writing: writing.port2,
    }
    // The file is .ts from a checkout and .js in the package, like this one.
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    this.#thread = new Worker(new URL(`./worker.${extension}`, import.meta.url), {
      workerData,
      transferList: [worker.port, counting.port2, writing.port2],
      name: 'troop worker',
    })
    this.#link = new AgentLink({
      end: agent,
      catalog,
      logger,
      onLost: () => void this.#thread.terminate(),
    })
    this.ended = this.#watch()
    this.#ready = this.#expect('ready')
    this.#thread.on('message', (message: FromWorker) => this.#hear(message))
  }

  /** Resolves once it could serve. @throws {WorkerFailed} */
  async prepared(): Promise<void> {
    const message = await this.#limit(this.#ready, prepareLimitMs, 'get ready')
    this.#name = (message as Extract<FromWorker, { kind: 'ready' }>).thread
  }

  /** Listens; resolves with the addresses as bound. @throws {WorkerFailed} */
  async open(listen: ProxyAddresses): Promise<ProxyAddresses> {
    const message = await this.#limit(this.#ask({ kind: 'open', listen }, 'listening'), openLimitMs, 'listen')
    this.#listens = true
    return (message as Extract<FromWorker, { kind: 'listening' }>).addresses
  }

  /** @throws {WorkerFailed} and goes on with what it had */
  async reload(proxy: ProxySetup): Promise<void> {
    await this.#limit(this.#ask({ kind: 'reload', proxy }, 'reloaded'), prepareLimitMs, 'reload')
  }

  /** Resolves when no request is open any more, however long that takes unless they are cut. */
  async close(cut: boolean): Promise<void> {
    await this.#ask({ kind: 'close', cut }, 'closed')
  }

  /** What its heap holds. @throws {WorkerFailed} */
  heap(): Promise<HeapInfo> {
    return this.#limit(this.#thread.getHeapStatistics(), interruptLimitMs, 'tell its heap')
  }

  /** Whether it serves; before that it may take long over what it loads. */
  get listens(): boolean {
    return this.#listens
  }

  sight(): Sight {
    return {
      beats: this.#beats.count,
      times: this.#name === undefined ? undefined : threadTimes(this.#name),
    }
  }

  /** Which plugin had it last, and for what. */
  whereabout(): Whereabout | undefined {
    return this.#whereabouts.read()
  }

  /** What it executes now; undefined when that is no JavaScript, or it has ended. */
  async stack(): Promise<readonly string[] | undefined> {
    try {
      const profile = await this.#limit(this.#thread.startCpuProfile(), interruptLimitMs, 'show its stack')
      await this.#options.clock.sleep(profileMs)
      return stackOf(await this.#limit(profile.stop(), interruptLimitMs, 'show its stack'))
    } catch {
      return undefined
    }
  }

  /** Ends the thread, whatever it does; a call outside of JavaScript is waited for. */
  async terminate(): Promise<void> {
    this.#link.close()
    await this.#thread.terminate()
  }

  #watch(): Promise<unknown> {
    return new Promise((resolve) => {
      let cause: unknown
      this.#thread.once('error', (error) => {
        cause = error
      })
      this.#thread.once('exit', (code) => {
        this.#link.close()
        const error = new WorkerFailed(`a worker thread ended with code ${code}`, { cause })
        for (const question of this.#questions.splice(0)) question.reject(error)
        resolve(cause)
      })
    })
  }

  #ask(message: ToWorker, answer: Answer): Promise<FromWorker> {
    const answered = this.#expect(answer)
    this.#thread.postMessage(message)
    return answered
  }

  #expect(answer: Answer): Promise<FromWorker> {
    const answered = new Promise<FromWorker>((resolve, reject) => {
      this.#questions.push({ answer, resolve, reject })
    })
    // The one who awaits it is told; before anyone does, a rejection is no accident.
    answered.catch(() => undefined)
    return answered
  }

  #hear(message: FromWorker): void {
    if (message.kind === 'log') {
      this.#write(message.line)
      return
    }
    const told = message.kind === 'failed' ? message.to : message.kind
    const index = this.#questions.findIndex(({ answer }) => answer === told)
    const [question] = this.#questions.splice(index, index < 0 ? 0 : 1)
    if (message.kind !== 'failed') question?.resolve(message)
    else question?.reject(new WorkerFailed(message.message, { hint: message.hint }))
  }

  #write({ level, scope, sentence, fields }: WorkerLine): void {
    this.#options.logger.scope(scope)[level](sentence, { ...fields, thread: this.#thread.threadId })
  }

  #limit<T>(answered: Promise<T>, limitMs: number, act: string): Promise<T> {
    return within(
      this.#options.clock,
      limitMs,
      answered,
      () => new WorkerFailed(`a worker thread did not ${act} within ${limitMs / 1000} s`),
    )
  }
}
