// Regular expressions that take no longer than text times pattern, whoever wrote either. Those of JavaScript try one way
// after the other, and some patterns have more ways than there is time; this one goes all ways at once (K. Thompson,
// "Regular expression search algorithm", 1968). What needs the other kind, back-references and look-around, it hasn't.

/** More would take longer than a pattern for names is worth. */
const patternCharsMax = 500
const stepsMax = 2000
const repeatsMax = 100

/** Whether a pattern is found anywhere in a text. */
export type Pattern = (text: string) => boolean

/** @throws {SyntaxError} saying what is wrong with it, or what is not known here */
export function compilePattern(source: string): Pattern {
  if (source.length > patternCharsMax) throw new SyntaxError(`longer than ${patternCharsMax} characters`)
  const steps = new Parser(source).parse()
  return (text) => isFound(steps, text)
}

/** What is done at one point of a pattern; numbers are those of other points. */
type Step =
  | { readonly is: 'char'; readonly has: Charset; readonly next: number }
  | { readonly is: 'edge'; readonly holds: Edge; readonly next: number }
  | { readonly is: 'either'; readonly next: readonly number[] }
  | { readonly is: 'found' }

type Charset = (char: string) => boolean
type Edge = (text: string, at: number) => boolean

/** Goes through the text once, with all points at which the pattern may be. */
function isFound(steps: readonly Step[], text: string): boolean {
  let points = new Set<number>()
  for (let at = 0; at <= text.length; at++) {
    // It may begin anywhere.
    if (reach(steps, steps.length - 1, text, at, points)) return true
    const next = new Set<number>()
    for (const point of points) {
      const step = steps[point] as Step
      if (step.is !== 'char' || at === text.length || !step.has(text[at] as string)) continue
      if (reach(steps, step.next, text, at + 1, next)) return true
    }
    points = next
  }
  return false
}

/** Adds the points that `from` leads to without a character; true when that is the end. */
function reach(steps: readonly Step[], from: number, text: string, at: number, points: Set<number>): boolean {
  const open = [from]
  for (let point = open.pop(); point !== undefined; point = open.pop()) {
    if (points.has(point)) continue
    points.add(point)
    const step = steps[point] as Step
    if (step.is === 'found') return true
    if (step.is === 'either') open.push(...step.next)
    else if (step.is === 'edge' && step.holds(text, at)) open.push(step.next)
  }
  return false
}

/** What follows it is known when it is put in: patterns are made from their end. */
type Node = (next: number) => number

class Parser {
  readonly #source: string
  readonly #steps: Step[] = [{ is: 'found' }]
  #at = 0
  #ignoresCase = false

  constructor(source: string) {
    this.#source = source
  }

  /** The last step is the first to be done. */
  parse(): readonly Step[] {
    this.#ignoresCase = this.#take('(?i)')
    const node = this.#alternatives()
    if (this.#at < this.#source.length) throw new SyntaxError('a ) without its (')
    // One of its own, so that it is the last, whatever the pattern ends in.
    this.#put({ is: 'either', next: [node(0)] })
    return this.#steps
  }

  #alternatives(): Node {
    const nodes = [this.#sequence()]
    while (this.#take('|')) nodes.push(this.#sequence())
    return (next) => this.#put({ is: 'either', next: nodes.map((node) => node(next)) })
  }

  #sequence(): Node {
    const nodes: Node[] = []
    while (this.#at < this.#source.length && !/[|)]/.test(this.#peek()))
      nodes.push(this.#repeated(this.#atom()))
    return (next) => nodes.reduceRight((after, node) => node(after), next)
  }

  #atom(): Node {
    const char = this.#read()
    if (char === '(') return this.#group()
    if (char === '[') return this.#char(this.#charClass())
    if (char === '.') return this.#char((other) => other !== '\n')
    if (char === '^') return this.#edge((_text, at) => at === 0)
    if (char === '$') return this.#edge((text, at) => at === text.length)
    if (char === '\\') return this.#escaped()
    if (/[*+?{]/.test(char)) throw new SyntaxError(`nothing that ${char} could repeat`)
    return this.#char(this.#folded((other) => other === char))
  }

  #group(): Node {
    if (!this.#take('?:') && this.#peek() === '?')
      throw new SyntaxError(`(?${this.#source[this.#at + 1] ?? ''} is not known`)
    const node = this.#alternatives()
    if (!this.#take(')')) throw new SyntaxError('a ( without its )')
    return node
  }

  #escaped(): Node {
    if (this.#take('b')) return this.#edge(isWordEdge)
    if (this.#take('B')) return this.#edge((text, at) => !isWordEdge(text, at))
    return this.#char(this.#escapedChar())
  }

  #escapedChar(): Charset {
    const char = this.#read('a character after \\')
    const known = classes[char.toLowerCase()]
    if (known && /[a-z]/.test(char)) return known
    if (known) return (other) => !known(other)
    if (/[a-z0-9]/i.test(char)) throw new SyntaxError(`\\${char} is not known`)
    return (other) => other === char
  }

  #charClass(): Charset {
    const isNegated = this.#take('^')
    const parts: Charset[] = []
    do parts.push(this.#classPart())
    while (!this.#take(']'))
    const has = this.#folded((char) => parts.some((has) => has(char)))
    return (char) => has(char) !== isNegated
  }

  #classPart(): Charset {
    const first = this.#read('a ]')
    if (first === '\\') return this.#escapedChar()
    if (this.#peek() !== '-' || this.#source[this.#at + 1] === ']') return (char) => char === first
    this.#at++
    const last = this.#read('the end of a range')
    if (last === '\\' || last < first) throw new SyntaxError(`${first}-${last} is no range`)
    return (char) => char >= first && char <= last
  }

  #repeated(node: Node): Node {
    const bounds = this.#bounds()
    if (!bounds) return node
    this.#take('?')
    if (this.#bounds()) throw new SyntaxError('a repetition of a repetition')
    const [least, most] = bounds
    return (next) => {
      let after = most === Number.POSITIVE_INFINITY ? this.#loop(node, next) : next
      if (Number.isFinite(most)) {
        for (let i = least; i < most; i++) after = this.#put({ is: 'either', next: [node(after), next] })
      }
      for (let i = 0; i < least; i++) after = node(after)
      return after
    }
  }

  /** How often, or undefined when nothing of that kind comes. */
  #bounds(): readonly [least: number, most: number] | undefined {
    if (this.#take('*')) return [0, Number.POSITIVE_INFINITY]
    if (this.#take('+')) return [1, Number.POSITIVE_INFINITY]
    if (this.#take('?')) return [0, 1]
    const [text, least, comma, most] = /^\{(\d+)(,)?(\d+)?\}/.exec(this.#source.slice(this.#at)) ?? []
    if (text === undefined || (most !== undefined && comma === undefined)) return undefined
    this.#at += text.length
    const bounds = [
      Number(least),
      most ? Number(most) : comma ? Number.POSITIVE_INFINITY : Number(least),
    ] as const
    const isFine =
      bounds[0] <= bounds[1] && bounds.every((bound) => bound <= repeatsMax || bound === Infinity)
    if (!isFine) throw new SyntaxError(`${text} is not between 0 and ${repeatsMax}`)
    return bounds
  }

  /** Any number of times. */
  #loop(node: Node, next: number): number {
    const loop = this.#put({ is: 'found' })
    this.#steps[loop] = { is: 'either', next: [node(loop), next] }
    return loop
  }

  #char(has: Charset): Node {
    return (next) => this.#put({ is: 'char', has, next })
  }

  #folded(has: Charset): Charset {
    if (!this.#ignoresCase) return has
    return (char) => has(char.toLowerCase()) || has(char.toUpperCase())
  }

  #edge(holds: Edge): Node {
    return (next) => this.#put({ is: 'edge', holds, next })
  }

  #put(step: Step): number {
    if (this.#steps.length >= stepsMax) throw new SyntaxError(`more than ${stepsMax} steps`)
    return this.#steps.push(step) - 1
  }

  #peek(): string {
    return this.#source[this.#at] ?? ''
  }

  #read(what = 'more'): string {
    const char = this.#source[this.#at++]
    if (char === undefined) throw new SyntaxError(`it ends where ${what} should be`)
    return char
  }

  #take(text: string): boolean {
    if (!this.#source.startsWith(text, this.#at)) return false
    this.#at += text.length
    return true
  }
}

const isWord: Charset = (char) => /\w/.test(char)

const classes: Readonly<Record<string, Charset | undefined>> = {
  d: (char) => char >= '0' && char <= '9',
  w: isWord,
  s: (char) => /\s/.test(char),
}

function isWordEdge(text: string, at: number): boolean {
  const isWordAt = (i: number) => i >= 0 && i < text.length && isWord(text[i] as string)
  return isWordAt(at - 1) !== isWordAt(at)
}
