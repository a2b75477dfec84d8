// A client of server-sent events that can be cut off and come again, or stop reading.
import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { until } from './log.ts'

export interface ReceivedEvent {
  readonly id: number
  readonly name: string
  // biome-ignore lint/suspicious/noExplicitAny: a test knows what it asked for
  readonly data: any
}

export class EventClient {
  readonly response: IncomingMessage
  /** Those that have data, in the order in which they came. */
  readonly events: ReceivedEvent[] = []
  /** Everything that was received. */
  text = ''
  /** As a browser would send it when it comes again. */
  lastId = ''
  #ended = false
  readonly #sent: ClientRequest
  #rest = ''

  private constructor(sent: ClientRequest, response: IncomingMessage) {
    this.#sent = sent
    this.response = response
    response.setEncoding('utf8').on('data', (chunk: string) => this.#hear(chunk))
    response.on('error', () => {})
    response.on('close', () => {
      this.#ended = true
    })
  }

  /** Resolves once the head of the answer is there, whatever it says. */
  static async open(url: string, headers: Readonly<Record<string, string>> = {}): Promise<EventClient> {
    const sent = request(url, { headers: { accept: 'text/event-stream', ...headers }, agent: false }).end()
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    sent.on('error', () => {})
    return new EventClient(sent, response)
  }

  /** Positions of the events called `change`. */
  positions(): number[] {
    return this.events.filter(({ name }) => name === 'change').map(({ id }) => id)
  }

  /** Waits until the last thing that came stands at `position`, be it an event or an id alone. */
  async reaches(position: number): Promise<void> {
    await until(() => Number(this.lastId) >= position)
  }

  /** Resolves once the other side has ended it. */
  async ended(): Promise<void> {
    await until(() => this.#ended)
  }

  /** Cuts the connection; what is on its way is lost. */
  cut(): void {
    this.#sent.destroy()
  }

  #hear(chunk: string): void {
    this.text += chunk
    const blocks = (this.#rest + chunk).split('\n\n')
    this.#rest = blocks.pop() as string
    for (const block of blocks) this.#read(block)
  }

  #read(block: string): void {
    const fields = new Map(block.split('\n').map((line) => line.split(/: (.*)/s, 2) as [string, string]))
    this.lastId = fields.get('id') ?? this.lastId
    const data = fields.get('data')
    if (data === undefined) return
    this.events.push({
      id: Number(this.lastId),
      name: fields.get('event') ?? 'message',
      data: JSON.parse(data),
    })
  }
}
