// Where a worker is: which plugin it gave which request last, noted in memory that another thread reads when this one
// does not answer any more. A note is three numbers and, once for each request, some text: a fraction of a microsecond.
import type { Row } from '../base/json.ts'
import type { Phases, PluginRequest } from '../plugins/plugin.ts'

const phases = ['open', 'certificate', 'access', 'headers', 'log', 'stop'] as const
export type Phase = (typeof phases)[number]

export interface Whereabout {
  readonly plugin: string
  readonly phase: Phase
  /** Id of the API; undefined where the phase has none. */
  readonly api: string | undefined
  /** Method and path, without the query: that may hold secrets. Of a certificate, `TLS` and the server's name. */
  readonly request: string | undefined
  /** Whether the plugin has not returned yet. Else it was the last one that had the thread, and may have gone on later. */
  readonly inside: boolean
}

/** What a phase is about. The same `of` is the same request. */
interface Subject {
  readonly of: object
  readonly api?: Row | null | undefined
  readonly method?: string
  readonly target?: string
}

/** Each number is in a place of its own; those of texts are their lengths. */
const numbers = { inside: 0, phase: 1, plugin: 2, api: 3, request: 4 } as const
const textsAt = Object.keys(numbers).length * Int32Array.BYTES_PER_ELEMENT
/** What is longer is cut. */
const textMax = 256
const texts = { plugin: textsAt, api: textsAt + textMax, request: textsAt + 2 * textMax } as const

export const whereaboutsBytes = textsAt + 3 * textMax

export class Whereabouts {
  readonly #numbers: Int32Array
  readonly #bytes: Buffer
  /** As they were written last. */
  readonly #written: Record<keyof typeof texts, string> = { plugin: '', api: '', request: '' }
  /** What they are about. */
  #of: object | undefined

  /** @param buffer  one object of one thread writes; who reads what it writes just then reads a mixture */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(whereaboutsBytes)) {
    this.#numbers = new Int32Array(buffer, 0, Object.keys(numbers).length)
    this.#bytes = Buffer.from(buffer)
  }

  /** `open` of a plugin, and the phases that it has, each noted while it has the thread. */
  follow(plugin: string, open: () => Phases): Phases {
    const given = this.#run(plugin, 'open', { of: open }, open)
    const { access, headers, log, certificate, stop } = given
    return {
      // Those that every request goes through make nothing for it.
      ...(access && {
        access: (request, config, tools) => {
          this.#enterRequest(plugin, 'access', request)
          try {
            return given.access?.(request, config, tools)
          } finally {
            this.#leave()
          }
        },
      }),
      ...(headers && {
        headers: (response, config, request) => {
          this.#enterRequest(plugin, 'headers', request)
          try {
            return given.headers?.(response, config, request)
          } finally {
            this.#leave()
          }
        },
      }),
      ...(log && {
        log: (record, config) => {
          this.#enter(plugin, 'log', ofRecord(record))
          try {
            return given.log?.(record, config)
          } finally {
            this.#leave()
          }
        },
      }),
      ...(certificate && {
        certificate: (name, config, tools) =>
          this.#run(plugin, 'certificate', { of: tools, method: 'TLS', target: name }, () =>
            given.certificate?.(name, config, tools),
          ),
      }),
      ...(stop && { stop: () => this.#run(plugin, 'stop', { of: stop }, () => given.stop?.()) }),
    }
  }

  /** Undefined before anything was noted. */
  read(): Whereabout | undefined {
    const plugin = this.#read('plugin')
    if (plugin === undefined) return undefined
    return {
      plugin,
      phase: phases[this.#numbers[numbers.phase] as number] as Phase,
      api: this.#read('api'),
      request: this.#read('request'),
      inside: this.#numbers[numbers.inside] === 1,
    }
  }

  #run<T>(plugin: string, phase: Phase, subject: Subject, run: () => T): T {
    this.#enter(plugin, phase, subject)
    try {
      return run()
    } finally {
      this.#leave()
    }
  }

  /** A plugin may have made anything of the request. */
  #enterRequest(plugin: string, phase: Phase, request: PluginRequest): void {
    if (request === this.#of && plugin === this.#written.plugin) this.#note(phase)
    else this.#enter(plugin, phase, ofRequest(request))
  }

  #leave(): void {
    this.#numbers[numbers.inside] = 0
  }

  #enter(plugin: string, phase: Phase, { of, api, method, target }: Subject): void {
    this.#write('plugin', plugin)
    if (of !== this.#of) {
      this.#write('api', String(api?.id ?? ''))
      this.#write('request', method === undefined ? '' : `${method} ${pathOf(target)}`)
    }
    this.#of = of
    this.#note(phase)
  }

  #note(phase: Phase): void {
    this.#numbers[numbers.phase] = phases.indexOf(phase)
    this.#numbers[numbers.inside] = 1
  }

  #write(text: keyof typeof texts, value: string): void {
    if (value === this.#written[text]) return
    this.#written[text] = value
    this.#numbers[numbers[text]] = this.#bytes.write(value, texts[text], textMax, 'latin1')
  }

  #read(text: keyof typeof texts): string | undefined {
    const at = texts[text]
    const value = this.#bytes.toString('latin1', at, at + (this.#numbers[numbers[text]] as number))
    return value === '' ? undefined : value
  }
}

function ofRequest(request: PluginRequest): Subject {
  const { api, incoming } = request
  return { of: request, api, method: incoming?.method, target: incoming?.target }
}

function ofRecord(record: Parameters<NonNullable<Phases['log']>>[0]): Subject {
  const { method, uri } = record.request as { method: string; uri: string }
  return { of: record, api: record.api as Row, method, target: uri }
}

function pathOf(target = ''): string {
  const end = target.indexOf('?')
  return end < 0 ? target : target.slice(0, end)
}
