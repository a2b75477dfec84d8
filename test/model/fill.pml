/*
 * How one entry of a node's caches is filled, changed, purged and served, as a model that spin searches through: every
 * order of steps within the bounds below. docs/model.md says what is left out, and which file each part stands for.
 *
 * One key; a datastore that commits up to LAST events and may lose its newest ones once; the agent with its cache (L2)
 * and one flight; one worker with its cache (L1), one flight, and the port between them. Each `#ifdef` is a mistake that
 * one could make; model.test.ts shows that spin finds each.
 */
#ifndef LAST
#define LAST 3
#endif
#define NEVER 15

#ifdef ONLY_POSITIONS
#define SAME(at, one, other) true
#else
/* Whether two histories have one digest at a position: they share what lies up to the fork. */
#define SAME(at, one, other) ((one) == (other) || (at) <= fork)
#endif
/* The same, however much the mistakes above forget. */
#define REALLY_SAME(at, one, other) ((one) == (other) || (at) <= fork)

/* ---- the datastore ---- */

mtype = { PUT, DROP, JOIN, CHANGE, PURGE, FOUND, SEED };

byte head;
bit history;               /* 1 after the tail was lost */
byte fork = NEVER;
mtype event[LAST + 1];
byte newest[LAST + 1];     /* the newest event of the key, up to each position: that event is the value */
byte joined[LAST + 1];     /* the newest join */

/* ---- a cache, of the agent or of the worker ---- */

typedef Entry {
  bit there;
  bit purged;              /* counts as absent until it is read again */
  byte value;              /* the event that made the value */
  bit valueOf;             /* and its history */
  byte stamp;
  byte read;               /* for the check of C6 only: when it was last read from the datastore */
}
typedef Flight {
  bit open;
  byte floor;
}
Entry l2, l1;
Flight flight2, flight1;

/* agent */
byte applied;
bit appliedOf;
byte acked;                /* what the node has acknowledged */
bit ackedOf;
bit mustLoad;
byte aheadAt;              /* a stamp above applied, whose digest is compared when it is applied */
bit aheadOf;
bit question;              /* the worker has asked */
bit answered;              /* the datastore has read; what it said is on its way */
bit again;                 /* a replica was asked before: now the primary */
byte answerAt, answerValue;
bit answerOf;
bit landed;                /* an answer for the worker, handed out once `applied` is there */
byte landedAt, landedValue, landedRead;
bit landedOf;

/* kind, position, value, its history, when it was read */
chan port = [2] of { mtype, byte, byte, bit, byte };

/* worker */
byte position1;
byte needAt;               /* what had been acknowledged when the last of those who wait began */
bit needOf;

#ifdef SKIP_FLOOR
#define REACHES(at, flight) true
#else
#define REACHES(at, flight) ((at) >= flight.floor)
#endif
#ifdef OVERWRITE_NEWER
#define IS_NEWS(at, entry) true
#else
#define IS_NEWS(at, entry) ((at) > entry.stamp)
#endif

inline raise(raised, to) {
  if
  :: raised.open && raised.floor < to -> raised.floor = to
  :: else
  fi
}

inline clear(cleared) {
  cleared.there = 0; cleared.purged = 0; cleared.value = 0; cleared.valueOf = 0; cleared.stamp = 0; cleared.read = 0
}

/* An event of the key: it replaces the value where there is one, or drops it; one at or below the stamp is in it. */
inline change(cache, inFlight, what, at, itsEra) {
#ifndef KEEP_FLOOR_ON_EVENT
  raise(inFlight, at);
#endif
  if
  :: cache.there && IS_NEWS(at, cache) ->
     assert(at > cache.stamp);   /* C3 */
     if
     :: what == PUT -> cache.value = at; cache.valueOf = itsEra; cache.stamp = at
     :: else -> clear(cache)
     fi
  :: else
  fi
}

inline purge(cache, inFlight, at) {
  cache.purged = cache.there;
#ifndef KEEP_FLOOR_ON_PURGE
  raise(inFlight, at)
#else
  skip
#endif
}

/* Kept unless what is held is as new. */
inline fill(cache, what, whatOf, at, readAt) {
  if
  :: cache.there && cache.stamp >= at && !cache.purged
  :: else ->
     cache.there = 1; cache.purged = 0;
     cache.value = what; cache.valueOf = whatOf; cache.stamp = at; cache.read = readAt
  fi
}

/* What may be served to a lookup that began when `at` of history `its` had been acknowledged. While the node is still in a
   history that is lost, nothing of the other one has been acknowledged by it; and who asked then may be answered so. */
#define isCurrent(at, its) ((its) == history || (at) <= fork)
#define isRight(what, whatOf, readAt, at, its) \
  (!isCurrent(at, its) || \
   (REALLY_SAME(what, whatOf, history) -> (what) >= newest[at] && (readAt) >= joined[at] : (its) != history))

/* C4: once the node is at the head and its worker has taken all messages, every entry is as the datastore has it. (One
   that is ahead is not served before that position is applied, and of a lost history it goes with that.) */
#define isAtRest (acked == head && isCurrent(acked, ackedOf) && !mustLoad && empty(port))
#define isTrue(entry) \
  (!entry.there || entry.purged || entry.stamp > acked || \
   (entry.value == newest[head] && entry.read >= joined[head] && REALLY_SAME(entry.value, entry.valueOf, history)))

/* ---- the datastore at work ---- */

active proctype Writer() {
  byte at;
end:
  do
  :: atomic { head < LAST ->
       head++;
       newest[head] = newest[head - 1]; joined[head] = joined[head - 1];
       if
       :: event[head] = PUT;  newest[head] = head
       :: event[head] = DROP; newest[head] = head
       :: event[head] = JOIN; joined[head] = head
       fi }
  :: atomic { history == 0 && head > 0 ->   /* the newest events are lost */
       fork = 0;
       do
       :: fork + 1 < head -> fork++
       :: break
       od;
       for (at : fork + 1 .. LAST) { event[at] = 0; newest[at] = 0; joined[at] = 0 }
       at = 0; head = fork; history = 1 }
  :: atomic { head == LAST -> break }
  od
}

/* ---- the agent ---- */

/* Another history: all is deleted, no flight lands, and nothing is acknowledged until everything was loaded. */
inline reset() {
  mustLoad = 1; aheadAt = 0; aheadOf = 0;
#ifdef JUMP_FIRST
  applied = head; appliedOf = history; acked = head; ackedOf = history;
#endif
#ifndef KEEP_ENTRIES
  clear(l2);
#endif
#ifndef KEEP_FLIGHTS
  answered = 0; answerAt = 0; answerValue = 0; answerOf = 0; again = 0;
  landed = 0; landedAt = 0; landedValue = 0; landedOf = 0; landedRead = 0;
#endif
  skip
}

inline applyNext() {
  applied++; appliedOf = history;
#ifdef ACKNOWLEDGE_EARLY
  acked = applied; ackedOf = appliedOf;
  posting = 1
#else
  post();
  if
  :: applied == aheadAt && !SAME(applied, aheadOf, appliedOf) -> reset()
  :: else -> acked = applied; ackedOf = appliedOf
  fi
#endif
  ;
  if
  :: aheadAt <= applied -> aheadAt = 0; aheadOf = 0
  :: else
  fi
}

/* In one tick: its own cache, and a message to the worker. */
inline post() {
  if
  :: event[applied] == JOIN -> purge(l2, flight2, applied); port!PURGE(applied, 0, 0, 0)
  :: else -> change(l2, flight2, event[applied], applied, appliedOf);
     if
     :: event[applied] == PUT -> port!CHANGE(applied, 1, appliedOf, 0)
     :: else -> port!CHANGE(applied, 0, appliedOf, 0)
     fi
  fi
}

active proctype Agent() {
  bit posting;
end:
  do
  /* pull, push or notification: what is next, or another history */
  :: atomic { !mustLoad && nfull(port) && !posting && (applied != head || !SAME(applied, appliedOf, history)) ->
       if
       :: applied > head || !SAME(applied, appliedOf, history) -> reset()
       :: else -> applyNext()
       fi }
#ifdef ACKNOWLEDGE_EARLY
  :: atomic { posting -> post(); posting = 0 }
#endif

  /* load: the worker gets a seed, which takes the place of all that it holds */
  :: atomic { mustLoad && nfull(port) ->
       applied = head; appliedOf = history; acked = head; ackedOf = history;
       mustLoad = 0;
       if
       :: flight2.open -> flight2.floor = applied
       :: else
       fi;
       question = 0;
       port!SEED(applied, 0, 0, 0) }

  /* the worker's question: from memory, or by a flight */
  :: atomic { question && !mustLoad && !flight2.open && nfull(port) ->
       question = 0;
       if
       :: l2.there && !l2.purged && l2.stamp <= applied -> port!FOUND(applied, l2.value, l2.valueOf, l2.read)
       :: l2.there && !l2.purged && l2.stamp > applied ->
          flight2.open = 1; landed = 1;
          landedAt = l2.stamp; landedValue = l2.value; landedOf = l2.valueOf; landedRead = l2.read
       :: else -> flight2.open = 1; flight2.floor = applied
       fi }
  /* one statement: the row and the head of one snapshot; a replica's may be of the past */
  :: atomic { flight2.open && !landed && !answered && !mustLoad ->
       answered = 1; answerAt = head; answerOf = history;
       if
       :: again -> skip
       :: else ->
          again = 1;
          do
          :: answerAt > 0 -> answerAt--
          :: break
          od
       fi;
       answerValue = newest[answerAt]
     }
#ifdef STAMP_APART
  :: atomic { answered && answerAt < head -> answerAt = head }   /* the head, asked for in a statement of its own */
#endif
  :: atomic { answered && !mustLoad ->
       answered = 0;
       if
       :: answerAt <= applied && !SAME(answerAt, answerOf, appliedOf) -> reset()
       :: else ->
          if
          :: REACHES(answerAt, flight2) ->
             fill(l2, answerValue, answerOf, answerAt, answerAt);
             again = 0;
             landed = 1;
             landedAt = l2.stamp; landedValue = l2.value; landedOf = l2.valueOf; landedRead = l2.read;
             if
             :: landedAt < applied -> landedAt = applied
             :: else
             fi;
             if
             :: answerAt > applied && aheadAt == 0 -> aheadAt = answerAt; aheadOf = answerOf
             :: answerAt > applied && aheadAt != 0 && aheadAt == answerAt && !SAME(answerAt, answerOf, aheadOf) -> reset()
             :: else
             fi
          :: else   /* asked again */
          fi
       fi;
       answerAt = 0; answerValue = 0; answerOf = 0 }
  :: atomic { landed && !mustLoad && landedAt <= applied && nfull(port) ->
       port!FOUND(landedAt, landedValue, landedOf, landedRead);
       landed = 0; landedAt = 0; landedValue = 0; landedOf = 0; landedRead = 0;
       flight2.open = 0; flight2.floor = 0 }
  od
}

/* ---- the worker ---- */

byte at, value, readAt;    /* of the message that is taken */
bit valueOf;
mtype kind;

inline take() {
  port?kind, at, value, valueOf, readAt;
  if
  :: kind == SEED ->
     position1 = at; clear(l1);
     if
     :: flight1.open -> flight1.floor = at; question = 1
     :: else
     fi
  :: kind == PURGE -> position1 = at; purge(l1, flight1, at)
  :: kind == CHANGE && value == 1 -> position1 = at; change(l1, flight1, PUT, at, valueOf)
  :: kind == CHANGE && value == 0 -> position1 = at; change(l1, flight1, DROP, at, valueOf)
  :: kind == FOUND && flight1.open ->
     if
     :: REACHES(at, flight1) ->
        fill(l1, value, valueOf, at, readAt);
        flight1.open = 0; flight1.floor = 0;
        assert(!isCurrent(acked, ackedOf) || isRight(l1.value, l1.valueOf, l1.read, needAt, needOf));
        needAt = 0; needOf = 0
     :: else -> question = 1
     fi
  :: else
  fi;
  kind = 0; at = 0; value = 0; valueOf = 0; readAt = 0
}

active proctype Worker() {
end:
  do
  :: atomic { nempty(port) -> take() }
  /* lookup: first it takes whatever was posted by then */
  :: atomic { !flight1.open || needAt != acked || needOf != ackedOf ->
#ifndef NO_DRAIN
       do
       :: nempty(port) -> take()
       :: empty(port) -> break
       od;
#endif
       if
       :: l1.there && !l1.purged -> assert(isRight(l1.value, l1.valueOf, l1.read, acked, ackedOf))
       :: else ->
          needAt = acked; needOf = ackedOf;
          if
          :: flight1.open
          :: else -> flight1.open = 1; flight1.floor = position1; question = 1
          fi
       fi }
  :: isAtRest && !(isTrue(l2) && isTrue(l1)) -> assert(false)
  od
}
