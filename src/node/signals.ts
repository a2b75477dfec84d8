// What a node in the foreground does when the system or a person signals it.

export interface SignalHandlers {
  /** Fast stop: SIGTERM, SIGINT. */
  stop(): void
  /** Drain, then stop: SIGQUIT. */
  quit(): void
  /** Read the configuration again: SIGHUP. */
  reload(): void
  /** Start a new log file after the old one was moved away: SIGUSR1. */
  reopenLog(): void
  /** Nobody handles an error of the main thread: what it was about to do is not done, and nothing here can be relied on. */
  failed(error: unknown): void
}

/** Handles the signals until the returned function is called. */
export function handleSignals(handlers: SignalHandlers): () => void {
  const bindings: [NodeJS.Signals, () => void][] = [
    ['SIGTERM', handlers.stop],
    ['SIGINT', handlers.stop],
    ['SIGQUIT', handlers.quit],
    ['SIGHUP', handlers.reload],
    ['SIGUSR1', handlers.reopenLog],
  ]
  for (const [signal, handler] of bindings) process.on(signal, handler)
  process.on('uncaughtException', handlers.failed)
  return () => {
    process.off('uncaughtException', handlers.failed)
    for (const [signal, handler] of bindings) process.off(signal, handler)
  }
}
