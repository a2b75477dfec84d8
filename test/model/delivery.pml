/*
 * How a change reaches every node before its writer is answered, as a model that spin searches through: every order of
 * steps, every lost message, every fault at every moment, within the bounds below. docs/model.md says what is left out,
 * and which file each part stands for.
 *
 * Two nodes, one write (or two: -DWRITES=2), and at most one of each fault: a node is forced out, another process takes a
 * node's name, the datastore loses the tail of its log. Each `#ifdef` is a mistake that one could make; model.test.ts shows that spin
 * finds each.
 */
#define NODES  2
#ifndef WRITES
#define WRITES 1
#endif
#define NAMES  4    /* 0 and 1; 2 + i is what node i calls itself once its name is another's */
#define LAST   10   /* the highest position; more is never needed */
#define NEVER  15

#ifdef ONLY_POSITIONS
#define SAME(position, one, other) true
#else
/* Whether two histories have one digest at a position: they share what lies up to the fork. */
#define SAME(position, one, other) ((one) == (other) || (position) <= fork)
#endif

/* ---- the datastore: log and registrations ---- */

#define NOTHING 0
#define WRITE   1
#define JOIN    2    /* + name: it was registered, with its position as life */
#define FORCE   6    /* + name: it was forced out */

byte head;
bit history;               /* 1 after the tail was lost */
byte fork = NEVER;         /* up to where both histories are one */
byte event[LAST + 1];      /* of the current history */
byte rowLife[NAMES];       /* 0: no row */
bit rowLeft[NAMES];

inline append(what) {
  head++;
  assert(head <= LAST);
  event[head] = what
}

inline register(who) {
  append(JOIN + node[who].name);
  node[who].life = head;
  node[who].leased = 1;
  rowLife[node[who].name] = head;
  rowLeft[node[who].name] = 0
}

/* ---- nodes ---- */

typedef Node {
  bit up;            /* serves */
  bit mustLoad;      /* acknowledges nothing, applies nothing */
  bit read;          /* the load was answered, and is not carried out yet */
  byte loadAt;
  bit loadOf;
  byte applied;      /* what it says */
  bit appliedOf;     /* the history of that */
  byte served;       /* what its workers answer from */
  bit servedOf;
  byte name;
  byte life;
  bit renewed;       /* that life began while it ran */
  bit leased;        /* it knows of nothing that ended its life */
  bit fresh;         /* the bound on staleness has not run out: with `on_stale: refuse` it serves only then */
  byte freshAt;      /* the head that it was sure of */
}
Node node[NODES];

/* ---- writes ---- */

typedef Written {
  byte position;           /* 0: not committed yet */
  bit era;
  byte awaited[NAMES];     /* by name, the life that has to acknowledge; 0: nobody has to, or it did */
  byte recipient[NAMES];   /* as `awaited` was at first */
  bit lapses[NAMES];       /* it was forced out: it counts until its freshness must have run out */
  bit pushed[NODES];       /* a push is on its way; one that never comes is lost, or its acknowledgement is */
  bit complete;            /* the answer said m/m */
}
Written written[WRITES];

byte promised;             /* the newest position of the current history that an answer called complete */
bit isLost, isTaken;     /* not both in one run: a life is a position, and two of one name could be the same then */
byte pending = WRITES + 2; /* processes that are not done: writers, and faults */

#define holdsRow(i) (rowLife[node[i].name] == node[i].life && !rowLeft[node[i].name])
#define atHead(i)   (node[i].applied == head && SAME(head, node[i].appliedOf, history))

/* The log goes on at `position` of history `of`; applied in one step, and only then acknowledged. */
inline apply(who, at, itsEra) {
  node[who].applied = at;
  node[who].appliedOf = itsEra;
#ifndef ACKNOWLEDGE_EARLY
  node[who].served = at;
  node[who].servedOf = itsEra;
#endif
  /* Its own life is over: nothing is fresh under it, until it has another one. */
  if
  :: itsEra == history && at != node[who].life &&
     (event[at] == JOIN + node[who].name || event[at] == FORCE + node[who].name) ->
     node[who].leased = 0; node[who].fresh = 0; node[who].freshAt = 0
  :: else
  fi
}

inline reset(who) {
  node[who].mustLoad = 1;
  node[who].fresh = 0; node[who].freshAt = 0;
#ifdef JUMP_FIRST
  node[who].applied = head;
  node[who].appliedOf = history
#endif
}

/* Counted if it is of the life that was read with the commit. */
inline acknowledge(who, what) {
  written[what].pushed[i] = 0;
  if
#ifdef COUNT_FENCED
  :: written[what].awaited[node[who].name] != 0 -> written[what].awaited[node[who].name] = 0
#else
  :: written[what].awaited[node[who].name] == node[who].life -> written[what].awaited[node[who].name] = 0
#endif
  :: else
  fi
}

#ifdef JUMP_FIRST
#define mayTake(who) true
#else
#define mayTake(who) !node[who].mustLoad
#endif

/* A push fits, or is known, or shows another history; one that leaves a gap waits for a pull. */
inline takePush(who, what) {
  atomic {
    written[what].pushed[who] && node[who].up && mayTake(who) && written[what].position <= node[who].applied + 1 ->
    if
    :: written[what].position == node[who].applied + 1 && SAME(node[who].applied, node[who].appliedOf, written[what].era) ->
       apply(who, written[what].position, written[what].era);
       acknowledge(who, what)
    :: written[what].position <= node[who].applied && SAME(written[what].position, node[who].appliedOf, written[what].era) ->
       acknowledge(who, what)
    :: else -> written[what].pushed[who] = 0; reset(who)
    fi
  }
}

/* C2: who serves within its bound on staleness has all that was called complete. Without such a bound, so has whoever is
   registered, by the time it serves under that life; one that was forced out and came back, or whose registration was
   lost with the tail, is excepted. And who was counted has what it was counted for. */
#define has(i, at)  (node[i].served >= (at) && (node[i].servedOf == history || (at) <= fork))
#define isCurrent(w) (written[w].complete && (written[w].era == history || written[w].position <= fork))
#define isLie(i, w)  (isCurrent(w) && written[w].recipient[node[i].name] == node[i].life && !has(i, written[w].position))
#define isStale(i)   (node[i].fresh && !has(i, promised))
#define isBehind(i)  (holdsRow(i) && !node[i].renewed && node[i].life <= fork && !has(i, promised))

/* One node: each step is one tick of its agent, and in between anything may happen. */
proctype Agent(byte i) {
  byte next;
  if
  :: i == 0 -> goto end   /* is there already */
  :: i == 1
  fi;
#ifdef LOAD_BEFORE_REGISTERING
  d_step {
    node[1].served = head; node[1].servedOf = history;
    node[1].applied = head; node[1].appliedOf = history
  };
#endif
  if
  :: atomic { true -> register(1) }   /* under a name that nobody has */
  :: atomic { rowLife[0] != 0 && !isLost ->
       isTaken = 1;
       /* Under the name of one that does not answer, and may serve still: it is forced out, and given time to end. */
       next = rowLife[0];
#ifndef TAKE_AT_ONCE
       if
       :: !rowLeft[0] -> append(FORCE); rowLeft[0] = 1
       :: else
       fi
     };
     atomic {
       if
       :: rowLife[0] == next -> node[0].fresh = 0; node[0].freshAt = 0   /* so much time has passed */
       :: else
       fi
     };
     atomic {
#endif
       if
       :: rowLife[0] == next -> node[1].name = 0
       :: else   /* it has come back */
       fi;
       register(1);
       next = 0
     }
  fi;
  /* Registered before it loads: a write either is in the load or knows of this node. */
#ifdef LOAD_BEFORE_REGISTERING
  node[1].up = 1;
#else
  node[1].mustLoad = 1;
#endif
end:
  do
  /* load: read, and carried out later; the stamp is that of the read */
  :: atomic { node[i].mustLoad && !node[i].read ->
       node[i].read = 1; node[i].loadAt = head; node[i].loadOf = history }
  :: atomic { node[i].read ->
       node[i].served = node[i].loadAt; node[i].servedOf = node[i].loadOf;
       node[i].applied = node[i].loadAt; node[i].appliedOf = node[i].loadOf;
       node[i].read = 0; node[i].mustLoad = 0; node[i].up = 1; node[i].loadAt = 0; node[i].loadOf = 0
#ifndef KEEP_LEASE
       /* What ended its life may be among what was not applied one by one. */
       ; node[i].leased = 0
#endif
     }

  /* pull: by a notification, the heartbeat or a member's word, all of which may be lost for any time */
  :: atomic { !node[i].mustLoad && node[i].up && !atHead(i) ->
       if
       :: head < node[i].applied || !SAME(node[i].applied, node[i].appliedOf, history) -> reset(i)
       :: else -> next = node[i].applied + 1; apply(i, next, history); next = 0
       fi }
#ifdef ACKNOWLEDGE_EARLY
  :: atomic { node[i].served != node[i].applied && !node[i].mustLoad ->
       node[i].served = node[i].applied; node[i].servedOf = node[i].appliedOf }
#endif

  :: takePush(i, 0)
  :: takePush(i, WRITES - 1)
  /* lookup */
  :: node[i].up && (isStale(i) || isBehind(i) || isLie(i, 0) || isLie(i, WRITES - 1)) -> assert(false)

  /* heartbeat: its row tells it whether its life goes on */
  :: atomic { node[i].up && !node[i].mustLoad && (!node[i].leased || !holdsRow(i)) ->
       if
       :: holdsRow(i) -> node[i].leased = 1
       :: else ->
          node[i].leased = 0; node[i].fresh = 0; node[i].freshAt = 0;
          if
          :: rowLife[node[i].name] == 0 && node[i].life <= head ->
             rowLife[node[i].name] = node[i].life   /* put back: no join */
          :: else ->
             if
             :: rowLife[node[i].name] != 0 && rowLife[node[i].name] != node[i].life -> node[i].name = 2 + i
             :: else
             fi;
             register(i);
             node[i].renewed = 1
          fi;
          node[i].leased = 1
       fi }

  /* freshness: a read of the primary says that nothing is missing */
  :: atomic { node[i].up && node[i].leased && !node[i].mustLoad && atHead(i) &&
              !(node[i].fresh && node[i].freshAt == head) ->
       node[i].fresh = 1; node[i].freshAt = head }
  od
}

/* So much time has passed that who was forced out can't serve any more: what it knew before the commit is not fresh. */
inline lapse(what, whose) {
  atomic {
    written[what].lapses[whose] && written[what].awaited[whose] != 0 ->
    written[what].awaited[whose] = 0; written[what].recipient[whose] = 0;
    for (i : 0 .. NODES - 1) {
      if
      :: node[i].freshAt < written[what].position || !SAME(written[what].position, node[i].appliedOf, written[what].era) ->
         node[i].fresh = 0; node[i].freshAt = 0
      :: else
      fi
    }
    i = 0
  }
}

/* Commits, waits for whoever must have it, and answers. Itself it serves nothing: its node is one like the others. */
proctype Writer(byte w) {
  byte name, i;
  atomic {
    append(WRITE);
    written[w].position = head;
    written[w].era = history;
    /* Under the log's lock: all that are registered, and those that were forced out and may serve still. */
    for (name : 0 .. NAMES - 1) {
#ifdef BY_MEMBERSHIP
      /* Only whom the writer has met, and does not believe failed. */
      if
      :: written[w].awaited[name] = rowLife[name]
      :: skip
      fi;
#else
      written[w].awaited[name] = rowLife[name];
#endif
      written[w].recipient[name] = written[w].awaited[name];
      written[w].lapses[name] = rowLife[name] != 0 && rowLeft[name]
#ifdef FORGET_FORCED
      ;
      if
      :: written[w].lapses[name] -> written[w].awaited[name] = 0; written[w].recipient[name] = 0
      :: else
      fi
#endif
    }
    for (i : 0 .. NODES - 1) { written[w].pushed[i] = 1 }
    name = 0; i = 0
  };
  do
  :: lapse(w, 0)
  :: lapse(w, 1)
  :: lapse(w, 2)
  :: lapse(w, 3)
  :: atomic {
       written[w].awaited[0] == 0 && written[w].awaited[1] == 0 &&
       written[w].awaited[2] == 0 && written[w].awaited[3] == 0 ->
       written[w].complete = 1;
       if
       :: (written[w].era == history || written[w].position <= fork) && written[w].position > promised ->
          promised = written[w].position
       :: else
       fi;
       break }
  :: break   /* cluster.ack_timeout: the answer names who lags, and promises nothing */
  od;
  atomic {
    pending--;
    for (name : 0 .. NAMES - 1) {
      if
      :: written[w].complete
      :: else -> written[w].recipient[name] = 0
      fi;
      written[w].awaited[name] = 0; written[w].lapses[name] = 0
    }
    for (i : 0 .. NODES - 1) { written[w].pushed[i] = 0 }
    i = 0; name = 0
  }
}

/* Somebody makes a node leave that is there. */
proctype Force() {
  byte name;
  atomic {
    if
#ifndef WITHOUT_FORCE
    :: name = 0
    :: name = 1
#endif
    :: name = NAMES
    fi;
    if
    :: name < NAMES && rowLife[name] != 0 && !rowLeft[name] -> append(FORCE + name); rowLeft[name] = 1
    :: else
    fi;
    pending--
  }
}

/* A failover or a restore: the newest events are gone, and whatever was registered by them. What is fresh by then is
   not, once the datastore is back: see docs/model.md. */
proctype Lose() {
  byte position, i;
  atomic {
    if
    :: isLost = 0
#ifndef WITHOUT_LOSS
    :: head > 1 && !isTaken -> isLost = 1
#endif
    fi;
    if
    :: isLost ->
       fork = 1;
       do
       :: fork + 1 < head -> fork++
       :: break
       od;
       for (i : 0 .. NAMES - 1) { rowLife[i] = 0; rowLeft[i] = 0 }
       for (position : 1 .. fork) {
         if
         :: event[position] >= FORCE -> rowLeft[event[position] - FORCE] = 1
         :: event[position] >= JOIN && event[position] < FORCE ->
            rowLife[event[position] - JOIN] = position; rowLeft[event[position] - JOIN] = 0
         :: else
         fi
       }
       for (position : fork + 1 .. LAST) { event[position] = NOTHING }
       head = fork; history = 1;
       if
       :: promised > fork -> promised = 0   /* what it was said of is lost */
       :: else
       fi;
       for (i : 0 .. NODES - 1) { node[i].fresh = 0; node[i].freshAt = 0 }
    :: else
    fi;
    position = 0; i = 0; pending--
  }
}

/* C4: when there is nothing left to do, every node serves the head of the one log, under a life of its own. */
active proctype Convergence() {
  byte i;
  timeout ->
  atomic {
    assert(pending == 0);
    for (i : 0 .. NODES - 1) {
      assert(node[i].up && node[i].fresh && holdsRow(i));
      assert(node[i].served == head && (node[i].servedOf == history || head <= fork))
    }
    assert(node[0].name != node[1].name)
  }
}

init {
  atomic {
    register(0);
    node[0].up = 1; node[0].leased = 1; node[0].fresh = 1; node[0].freshAt = head;
    node[0].applied = head; node[0].served = head;
    node[1].name = 1;
    run Agent(0); run Agent(1);
    run Writer(0);
#if WRITES > 1
    run Writer(1);
#endif

    run Force(); run Lose()
  }
}
