"Several ways to do one thing, timed in turn.

A machine's speed comes and goes, and takes all of them along: what holds is the ratio of two times
that were taken one after the other. So each round times every side once, forwards in one round and
backwards in the next, and there are ratios of rounds, not of means."

(import  dataclasses [dataclass field]
         statistics [median]
         time [perf-counter])

(setv PROBE 4)             ; a quarter of a round says well enough how long a piece takes

(defclass [(dataclass :frozen True)] Side []
  "One way to do it: (WORK n) does n pieces, each of AMOUNT units. One that is not WARMED-UP is
  timed from its first run on; a round has as many PIECES, if that is not for `pieces-for` to find."
  #^ str name
  #^ object work
  (setv #^ float amount 1
        #^ bool warmed-up True
        #^ (| int None) pieces None))

(defclass [(dataclass)] Timed []
  "A Side, the seconds of its first run, its pieces a round, and the seconds a unit of each round."
  #^ Side side
  #^ (| float None) first-run
  #^ int pieces
  (setv #^ list seconds (field :default-factory list)))

(defn seconds-of [side pieces clock]
  "How long SIDE takes for so many pieces."
  (setv started (clock))
  (side.work pieces)
  (- (clock) started))

(defn pieces-for [side seconds clock]
  "How many pieces of SIDE take about so many SECONDS."
  (setv pieces 1
        taken  (seconds-of side 1 clock))
  (while (< taken (/ seconds PROBE))
    (setv pieces (* PROBE pieces)
          taken  (seconds-of side pieces clock)))
  (max 1 (round (/ (* pieces seconds) (max taken 1e-9)))))

(defn made-ready [side seconds clock]
  "-> Timed: SIDE, warmed up, with nothing measured yet."
  (setv first-run (when side.warmed-up (seconds-of side 1 clock)))
  (Timed side first-run (or side.pieces (pieces-for side seconds clock))))

(defn in-turn [sides * rounds seconds [clock perf-counter] [told (fn [what])]]
  "-> [Timed]: each of SIDES in as many ROUNDS, about so many SECONDS long each. TOLD hears what is
  being done."
  (setv timed [])
  (for [side sides]
    (when side.warmed-up
      (told f"{side.name}: a first run"))
    (.append timed (made-ready side seconds clock)))
  (for [i (range rounds)]
    (told f"round {(+ i 1)} of {rounds}")
    (for [one (if (% i 2) (reversed timed) timed)]
      (setv taken (seconds-of one.side one.pieces clock))
      (.append one.seconds (/ taken one.pieces one.side.amount))))
  timed)

(defn spread [numbers]
  "-> dict: their median, least and largest."
  {"median" (median numbers)  "min" (min numbers)  "max" (max numbers)})

(defn ratio [peer ours]
  "[seconds] [seconds] -> dict: how many times as long as ours the peer takes, round by round.
  (ratio [2 6] [1 2])  ; => {'median': 2.5, 'min': 2.0, 'max': 3.0}"
  (spread (lfor  [theirs own] (zip peer ours)  (/ theirs own))))
