// A refused dial says that nobody listens there any more. Two that are refused are sure of it: whoever is refused asks
// a witness, in one round trip, and need not wait until a suspicion has run its time.
import type { Position } from '../../base/stamp.ts'
import type { MessageBody } from './message.ts'
import type { Profile } from './profile.ts'

/** What this node wants to know of others. */
interface Question {
  readonly life: Position
  readonly asked: Set<string>
  rounds: number
  deadlineAt: number
}

/** What others want to know of this node, as soon as it knows. */
interface Request {
  readonly life: Position
  readonly untilAt: number
}

/** To send to `to`. */
export interface Letter {
  readonly to: string
  readonly body: MessageBody
}

export class Witnesses {
  readonly #profile: Profile
  readonly #questions = new Map<string, Question>()
  /** By target, then by who asks: one each, so as many as there are pairs of members. */
  readonly #requests = new Map<string, Map<string, Request>>()
  /** When this node itself was last refused. */
  readonly #refusals = new Map<string, number>()

  constructor(profile: Profile) {
    this.#profile = profile
  }

  /** This node was refused: tells those who asked. */
  refused(target: string, now: number): Letter[] {
    this.#refusals.set(target, now)
    return this.#testify(target, true)
  }

  /**
   * Asks others whether they are refused too; once for each suspicion.
   * @param others  who may be asked, in an order of chance
   */
  ask(target: string, life: Position, others: readonly string[], now: number): Letter[] {
    if (this.#questions.has(target)) return []
    const question = { life, asked: new Set<string>(), rounds: 0, deadlineAt: now }
    this.#questions.set(target, question)
    return this.#askNext(target, question, others, now)
  }

  /** This node reached it, or got no answer: it can't bear witness. */
  notRefused(target: string): Letter[] {
    this.#refusals.delete(target)
    return this.#testify(target, false)
  }

  /** Somebody asks. Returns the answer, or nothing while it has to be found out by a dial. */
  asked(target: string, life: Position, by: string, now: number): Letter | undefined {
    const refusedAt = this.#refusals.get(target) ?? Number.NEGATIVE_INFINITY
    if (now - refusedAt < this.#profile.suspicionMs) return letter(by, target, life, true)
    const requests = this.#requests.get(target) ?? new Map<string, Request>()
    requests.set(by, { life, untilAt: now + this.#profile.probeTimeoutMs })
    this.#requests.set(target, requests)
    return undefined
  }

  /** Whether this node asked `by`, about this life: an answer that nobody asked for proves nothing. */
  isExpected(target: string, life: Position, by: string): boolean {
    const question = this.#questions.get(target)
    return question !== undefined && question.life === life && question.asked.has(by)
  }

  /** The matter is decided: refuted, failed, left, or a new life. */
  settle(target: string): void {
    this.#questions.delete(target)
    this.#refusals.delete(target)
  }

  postpone(byMs: number): void {
    for (const question of this.#questions.values()) question.deadlineAt += byMs
  }

  tick(now: number, others: () => readonly string[]): Letter[] {
    const letters: Letter[] = []
    for (const [target, question] of this.#questions) {
      if (question.deadlineAt <= now) letters.push(...this.#askNext(target, question, others(), now))
    }
    for (const [target, requests] of this.#requests) {
      for (const [by, { life, untilAt }] of requests) {
        if (untilAt > now) continue
        letters.push(letter(by, target, life, false))
        requests.delete(by)
      }
      if (requests.size === 0) this.#requests.delete(target)
    }
    return letters
  }

  nextDueAt(): number {
    let due = Number.POSITIVE_INFINITY
    for (const { deadlineAt } of this.#questions.values()) due = Math.min(due, deadlineAt)
    for (const requests of this.#requests.values()) {
      for (const { untilAt } of requests.values()) due = Math.min(due, untilAt)
    }
    return due
  }

  #askNext(target: string, question: Question, others: readonly string[], now: number): Letter[] {
    const next = others.filter((name) => name !== target && !question.asked.has(name))
    if (question.rounds === this.#profile.witnessRoundsMax || next.length === 0) {
      // Answers are still welcome; without them the suspicion's timeout decides.
      question.deadlineAt = Number.POSITIVE_INFINITY
      return []
    }
    question.rounds++
    question.deadlineAt = now + this.#profile.probeTimeoutMs
    const chosen = next.slice(0, this.#profile.witnesses)
    for (const name of chosen) question.asked.add(name)
    return chosen.map((to) => ({ to, body: { kind: 'ask-witness', target, targetLife: question.life } }))
  }

  #testify(target: string, refused: boolean): Letter[] {
    const requests = [...(this.#requests.get(target) ?? [])]
    this.#requests.delete(target)
    return requests.map(([by, { life }]) => letter(by, target, life, refused))
  }
}

function letter(to: string, target: string, life: Position, refused: boolean): Letter {
  return { to, body: { kind: 'testify', target, targetLife: life, refused } }
}
