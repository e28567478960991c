"Chains of characters: text drawn from them, and the exact loss no model of that text can beat."

;; A chain draws lines of one length, each ended by a newline; line follows line without end, and
;; no line knows of another. In the shapes below V is the number of characters, L the length of a
;; line without its newline, so that L + 1 tokens make a line. All entropies are in nats.

(eval-when-compile
  (require hyrule [-> ncut unless]))
(import  dataclasses [dataclass]
         itertools [pairwise]
         math [inf]
         numbers [Real]
         numpy :as np
         nanogpt-hy.config [whole]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.data.encoding [codes]
         nanogpt-hy.lab.files [short])

(setv MOST-NUMBERS    1,000,000        ; in a chain's largest table, (V V) or (L V)
      MOST-CHARACTERS 1,000,000,000    ; of text drawn at once
      CHUNK           4,000,000)       ; about how many numbers are held while text is drawn


;;; What a chain is

(defclass [(dataclass :frozen True)] Chain []
  "Lines of `line-length` characters: the first by the `start` weights, then row by row.
  `(get transitions i j)` is the probability that character j follows character i."
  #^ str chars
  #^ tuple start
  #^ tuple transitions
  #^ int line-length

  (defn __post-init__ [self]
    ;; The sizes come before all that takes time or memory: a chain may be out of anybody's file.
    (check-size self.chars self.line-length)
    (check-chars self.chars)
    (setv start (probabilities self.start self.chars "start")
          rows  (listed self.transitions (len self.chars) "transitions" "rows")
          rows  (gfor  [c row] (zip self.chars rows)
                      (probabilities row self.chars f"the row after {c !r}")))
    ;; A frozen dataclass is set this way only; tuples make chains comparable and hashable.
    (object.__setattr__ self "start" start)
    (object.__setattr__ self "transitions" (tuple rows))
    (object.__setattr__ self "line_length" (int self.line-length))))

(defn ab-chain [* [stay 0.5] [length 8] [start "ab"]]
  "float, int, str -> Chain: a is followed by a with probability `stay`, else by b; b by b for ever.
  A line has `length` characters and begins with any one of `start`, each with equal weight."
  (unless (and (isinstance stay Real) (<= 0 stay 1))
    (raise (RequestError f"--stay is {stay}, a probability from 0 to 1: use for example 0.5")))
  (unless (in start ["a" "b" "ab" "ba"])
    (raise (RequestError f"an a/b line cannot start with {start !r}: use \"a\", \"b\" or \"ab\"")))
  (Chain "ab"
         (lfor  c "ab" (if (in c start) (/ 1 (len start)) 0.0))
         [[stay (- 1 stay)] [0.0 1.0]]
         length))

(defn check-whole [what n least example]
  "str, anything -> None: RequestError unless n is a whole number, and not less than the least."
  (unless (whole n least :most inf)
    (raise (RequestError
             f"{what} is {(short n)}, not a whole number >= {least}: use say {example}"))))

(defn check-size [chars length]
  "anything -> None: RequestError unless there are characters and a length, and their tables fit
  into memory."
  (unless (and (isinstance chars str) chars)
    (raise (RequestError "a chain needs characters: give chars as a text such as \"ab\"")))
  (check-whole "the line length" length 1 8)
  (setv most (// MOST-NUMBERS (len chars)))
  (when (> (len chars) most)
    (raise (RequestError (+ f"a chain of {(len chars)} characters is too large: use at most "
                            f"{(int (** MOST-NUMBERS 0.5))}"))))
  (when (> length most)
    (raise (RequestError (+ f"the line length is {(short length)}, more than a chain of "
                            f"{(len chars)} characters may have: use at most {most}")))))

(defn check-chars [chars]
  "str -> None: RequestError unless they are distinct characters, none of them a newline, all of
  them writable."
  (when (in "\n" chars)
    (raise (RequestError "a chain's chars hold a newline, which only ends lines: leave it out")))
  (for [[i c] (enumerate chars)]
    (when (in c (cut chars i))
      (raise (RequestError f"{c !r} stands twice among a chain's chars: name each once")))
    (when (<= "\ud800" c "\udfff")
      (raise (RequestError f"{c !r} among a chain's chars is half a character: leave it out")))))

(defn listed [x count what things]
  "a list, tuple or array -> list: one of the `things` for each of `count` characters, or
  RequestError."
  (unless (isinstance x #(list tuple np.ndarray))
    (raise (RequestError f"{what} is {(short x)}: give a list of weights, one for each character")))
  (unless (= (len x) count)
    (raise (RequestError (+ f"{what} has {(len x)} {things} for {count} characters: "
                            "give one for each"))))
  (list x))

(defn probabilities [weights chars what]
  "V numbers, V characters -> V floats: the same numbers; RequestError if they are no
  probabilities that sum to 1."
  (setv weights (listed weights (len chars) what "weights"))
  (for [[c p] (zip chars weights)]
    (unless (and (isinstance p Real) (not (isinstance p bool)) (<= 0 p 1))
      (raise (RequestError (+ f"{what} gives {c !r} the weight {(short p)}: "
                              "use a number from 0 to 1")))))
  (setv total (float (sum weights)))
  (when (> (abs (- total 1)) 1e-9)
    (raise (RequestError f"the weights of {what} sum to {total}, not to 1: scale them to 1")))
  (tuple (map float weights)))


;;; Drawing text

(defn draw-lines [chain count * seed]
  "Chain int -> str: `count` lines, each ended by a newline; fewer lines are a prefix of more."
  (check-whole "--lines" count 1 10000)
  (check-whole "--seed" seed 0 1337)
  (setv L    chain.line-length
        most (// MOST-CHARACTERS (+ L 1)))
  (when (> count most)
    (raise (RequestError (+ f"{(short count)} lines of {L} have more than {MOST-CHARACTERS :,} "
                            f"characters: use --lines {most} or fewer"))))
  ;; Chunks bound the memory; draws are taken line by line, so they do not change the text.
  (setv bits (np.random.PCG64 seed)
        step (max 1 (// CHUNK (max L (len chain.chars)))))
  (.join "" (gfor  done (range 0 count step)
                  :setv n (min step (- count done))
                  (lines-of chain (.reshape (uniform bits (* n L)) n L)))))

(defn uniform [bits n]
  "int -> (N): numbers in [0, 1), 53 random bits each."
  ;; Numpy promises the same raw bits of PCG64 in every version and on every machine, but no such
  ;; thing for the methods of Generator.
  (* (.astype (>> (.random-raw bits n) 11) "f8") (** 2.0 -53)))

(defn lines-of [chain draws]
  "(N L) numbers in [0, 1) -> str: N lines."
  (setv [N L]  draws.shape
        steps  (thresholds chain.transitions)                     ; (V V)
        known  (codes chain.chars)                                ; (V)
        text   (np.full #(N (+ L 1)) (ord "\n") "<u4")            ; (N L+1)
        limits (get (thresholds chain.start) None))               ; (1 V), then (N V)
  (for [i (range L)]
    (setv drawn (.sum (>= (ncut draws : i None) limits) :axis 1)  ; (N)
          (get text #((slice None) i)) (get known drawn)
          limits (get steps drawn)))
  (.decode (.tobytes text) "utf-32-le"))

(defn thresholds [weights]
  "(... V) -> (... V): a draw picks the first character whose threshold lies above it."
  ;; Dividing makes the last threshold that counts exactly 1: rounding can neither run off the end
  ;; nor pick a character of weight 0.
  (setv sums (np.cumsum (np.array weights) :axis -1))
  (/ sums (ncut sums ... -1 None)))


;;; Exact probabilities

(defn next-probabilities [chain context]
  "Chain str -> {character: p}: what comes next in the endless stream, given its last characters.
  The context may start inside a line: then every place it can have is weighed."
  (setv pieces (.split context "\n")
        last   (- (len pieces) 1)
        places (lfor  [i piece] (enumerate pieces)
                     (weigh-places chain piece :begins (> i 0) :ends (< i last)))
        hidden (get places -1)
        line   (get pieces -1))
  (unless (all (gfor  w places  (> (.sum w) 0)))
    (raise (RequestError (+ f"the chain never gives {(short context)}: ask for a context of lines "
                            f"of {chain.line-length} characters that it can draw"))))
  (setv hidden (/ hidden (.sum hidden))
        done   (get hidden -1))                     ; the chance that the line is at its end
  (| (dict (zip chain.chars
                (.tolist (if line
                             (* (- 1 done) (np.array (get chain.transitions
                                                          (.index chain.chars (get line -1)))))
                             (@ (ncut hidden :-1) (marginals chain))))))
     {"\n" (float done)}))

(defn weigh-places [chain piece * begins ends]
  "Chain str -> (L - len + 1): the weight of each place of a line at which the piece may begin.
  A piece that `begins` stands at its line's start, one that `ends` reaches the line's end."
  (setv L     chain.line-length
        at    (lfor  c piece  (.find chain.chars c))
        steps (gfor  [i j] (pairwise at)  (get chain.transitions i j)))
  (when (or (> (len piece) L) (in -1 at) (not (all steps)))
    (return (np.zeros 1)))
  (setv w (if piece
              (.copy (ncut (marginals chain) (: (+ (- L (len piece)) 1)) (get at 0)))
              (np.ones (+ L 1))))
  (when begins (setv (get w (slice 1 None)) 0.0))
  (when ends (setv (get w (slice None -1)) 0.0))
  w)

(defn marginals [chain]
  "Chain -> (L V): the probability of each character at each place of a line."
  (setv T   (np.array chain.transitions)
        out (np.tile (np.array chain.start) #(chain.line-length 1)))
  (for [i (range 1 chain.line-length)]
    (setv (get out i) (@ (get out (- i 1)) T)))
  out)


;;; Floors

(defn floor [chain * [context None]]
  "Chain -> nats per token: the least loss of a model that sees `context` tokens, or all of them."
  (when (and (is-not context None) (< context 0))
    (raise (RequestError f"a context has {context} tokens, fewer than 0: use 0 or more")))
  (get (floors-by-context chain)
       (if (is context None) -1 (min context chain.line-length))))

(defn window-floor [chain block-size]
  "Chain int -> nats per token: the least loss over random windows, where token t sees t + 1."
  (unless (>= block-size 1)
    (raise (RequestError f"block-size is {block-size}, fewer than 1: use 1 or more")))
  (setv floors (floors-by-context chain)
        L      chain.line-length
        rising (sum (cut floors 1 (+ (min block-size L) 1)))
        level  (* (get floors -1) (max 0 (- block-size L))))
  (/ (+ rising level) block-size))

(defn floors-by-position [chain]
  "Chain -> L + 1 nats: the floor of each token of a line whose start is seen; the newline's is 0."
  (setv steps (entropy (np.array chain.transitions)))                       ; (V)
  [(float (entropy (np.array chain.start)))
   #* (.tolist (@ (ncut (marginals chain) :-1) steps))
   0.0])

(defn floors-by-context [chain]
  "Chain -> L + 1 nats per token: the floors of models that see 0, 1, ... L tokens.
  L tokens are as good as all: without a newline among them they are the whole line."
  (setv L     chain.line-length
        T     (np.array chain.transitions)                                  ; (V V)
        m     (marginals chain)                                             ; (L V)
        until (np.cumsum m :axis 0)                                         ; (L V)
        seen  (np.cumsum (floors-by-position chain))                        ; (L+1)
        later (entropy T)                                                   ; (V)
        out   [(entropy (/ (np.append (get until -1) 1) (+ L 1)))])
  (for [k (range 1 (+ L 1))]
    ;; The first k tokens of a line see the newline before it, so they know their place. For the
    ;; others the context is k characters from somewhere in a line. All the stream tells about
    ;; their place is in the first of them: from there on every place has the same transitions.
    (setv first (get until (- L k))                                         ; (V) such contexts
          done  (/ (get m (- L k)) (np.where (> first 0) first 1))          ; (V) and the line ends
          here  (+ (entropy (np.stack [done (- 1 done)] -1)) (* (- 1 done) later)))
    (.append out (/ (+ (get seen (- k 1)) (@ first here)) (+ L 1)))
    (setv later (@ T later)))             ; the entropy of the step one character further from first
  (list (map float out)))

(defn entropy [p]
  "(... V) -> (...): nats; what never happens adds nothing."
  (setv logs (np.log (np.where (> p 0) p 1)))
  (- (.sum (* p logs) :axis -1)))
