"Chains of characters: text drawn from them, and the exact loss no model of that text can beat."

;; A chain draws lines of one length, each ended by a newline; line follows line without end, and
;; no line knows of another. In the shapes below V is the number of characters, L the length of a
;; line without its newline, so that L + 1 tokens make a line. All entropies are in nats.

(eval-when-compile
  (require hyrule [-> ncut unless]))
(import  dataclasses [dataclass]
         errno
         json
         numbers [Integral Real]
         os
         pathlib [Path]
         tomllib
         numpy :as np
         nanogpt-hy.errors [RequestError WorkError])


;;; What a chain is

(defclass [(dataclass :frozen True)] Chain []
  "Lines of `line-length` characters: the first by the `start` weights, then row by row.
  `(get transitions i j)` is the probability that character j follows character i."
  #^ str chars
  #^ tuple start
  #^ tuple transitions
  #^ int line-length

  (defn __post-init__ [self]
    (_check-chars self.chars)
    (_check-length self.line-length)
    (setv start (_weights self.start self.chars "start")
          rows  (_rows self.transitions self.chars))
    ;; A frozen dataclass is set this way only; tuples make chains comparable and hashable.
    (object.__setattr__ self "start" start)
    (object.__setattr__ self "transitions" rows)
    (object.__setattr__ self "line_length" (int self.line-length))))

(defn ab-chain [* [stay 0.5] [length 8] [start "ab"]]
  "floats -> Chain: a is followed by a with probability `stay`, else by b; b by b for ever.
  A line begins with any character of `start`, each with equal weight."
  (unless (and (isinstance stay Real) (<= 0 stay 1))
    (raise (RequestError f"--stay is {stay}, a probability from 0 to 1: use for example 0.5")))
  (unless (in start ["a" "b" "ab" "ba"])
    (raise (RequestError f"an a/b line cannot start with {start !r}: use \"a\", \"b\" or \"ab\"")))
  (Chain "ab"
         (lfor c "ab" (if (in c start) (/ 1 (len start)) 0.0))
         [[stay (- 1 stay)] [0.0 1.0]]
         length))

(defn _check-chars [chars]
  "str -> None: distinct characters, none of them a newline, all of them writable."
  (unless (and (isinstance chars str) chars)
    (raise (RequestError "a chain needs characters: give chars as a text such as \"ab\"")))
  (when (in "\n" chars)
    (raise (RequestError "a chain's chars hold a newline, which only ends lines: leave it out")))
  (when (< (len (set chars)) (len chars))
    (setv twice (next (gfor c chars :if (> (.count chars c) 1) c)))
    (raise (RequestError f"{twice !r} stands twice among a chain's chars: name each once")))
  (for [c chars]
    (when (<= "\ud800" c "\udfff")
      (raise (RequestError f"{c !r} among a chain's chars is half a character: leave it out")))))

(defn _check-length [length]
  (unless (and (isinstance length Integral) (not (isinstance length bool)) (>= length 1))
    (raise (RequestError f"the line length is {length !r}, not a whole number >= 1: use say 8"))))

(defn _weights [weights chars what]
  "V numbers, V characters -> V floats: probabilities, one for each character."
  (setv weights (_sequence weights what))
  (unless (= (len weights) (len chars))
    (raise (RequestError (+ f"{what} has {(len weights)} weights for {(len chars)} characters: "
                            "give one for each"))))
  (for [[c p] (zip chars weights)]
    (unless (and (isinstance p Real) (not (isinstance p bool)) (<= 0 p 1))
      (raise (RequestError f"{what} gives {c !r} the weight {p !r}: use a number from 0 to 1"))))
  (setv total (float (sum weights)))
  (when (> (abs (- total 1)) 1e-9)
    (raise (RequestError f"the weights of {what} sum to {total}, not to 1: scale them to 1")))
  (tuple (map float weights)))

(defn _rows [rows chars]
  "V rows of V numbers -> the same as tuples: what follows each character."
  (setv rows (_sequence rows "transitions"))
  (unless (= (len rows) (len chars))
    (raise (RequestError (+ f"transitions has {(len rows)} rows for {(len chars)} characters: "
                            "give one row for each"))))
  (tuple (gfor [c row] (zip chars rows) (_weights row chars f"the row after {c !r}"))))

(defn _sequence [x what]
  "a list, tuple or array -> list; anything else is an error."
  (unless (isinstance x #(list tuple np.ndarray))
    (raise (RequestError f"{what} is {x !r}: give a list of weights, one for each character")))
  (list x))


;;; Drawing text

(setv CHUNK 4,000,000)   ; about how many numbers are held at once

(defn draw-lines [chain count * seed]
  "Chain int -> str: `count` lines, each ended by a newline; fewer lines are a prefix of more."
  (_check-count count)
  (_check-seed seed)
  (setv L    chain.line-length
        bits (np.random.PCG64 seed)
        ;; Chunks bound the memory; draws are taken line by line, so they do not change the text.
        step (max 1 (// CHUNK (max L (len chain.chars)))))
  (.join "" (gfor done (range 0 count step)
                  :setv n (min step (- count done))
                  (_lines-of chain (.reshape (_uniform bits (* n L)) n L)))))

(defn _uniform [bits n]
  "int -> (N): numbers in [0, 1), 53 random bits each."
  ;; Numpy promises the same raw bits of PCG64 in every version and on every machine, but no such
  ;; thing for the methods of Generator.
  (* (.astype (>> (.random-raw bits n) 11) "f8") (** 2.0 -53)))

(defn _lines-of [chain draws]
  "(N L) numbers in [0, 1) -> str: N lines."
  (setv [N L]  draws.shape
        steps  (_thresholds chain.transitions)                    ; (V V)
        codes  (np.array (list (map ord chain.chars)) "<u4")      ; (V)
        text   (np.full #(N (+ L 1)) (ord "\n") "<u4")            ; (N L+1)
        limits (get (_thresholds chain.start) None))              ; (1 V), then (N V)
  (for [i (range L)]
    (setv drawn (.sum (>= (ncut draws : i None) limits) :axis 1)  ; (N)
          (get text #((slice None) i)) (get codes drawn)
          limits (get steps drawn)))
  (.decode (.tobytes text) "utf-32-le"))

(defn _thresholds [weights]
  "(... V) -> (... V): a draw picks the first character whose threshold lies above it."
  ;; Dividing makes the last threshold that counts exactly 1: rounding can neither run off the end
  ;; nor pick a character of weight 0.
  (setv sums (np.cumsum (np.array weights) :axis -1))
  (/ sums (ncut sums ... -1 None)))

(defn _check-count [count]
  (unless (and (isinstance count Integral) (>= count 1))
    (raise (RequestError f"--lines is {count !r}, not a whole number >= 1: use say 10000"))))

(defn _check-seed [seed]
  (unless (and (isinstance seed Integral) (>= seed 0))
    (raise (RequestError f"--seed is {seed !r}, not a whole number >= 0: use say 1337"))))


;;; Files

(defn write-data [path chain count * seed [overwrite False]]
  "file name, Chain, int -> (text file, chain file): lines, and beside them their chain."
  (setv path   (Path path)
        beside (_check-target path overwrite)
        text   (draw-lines chain count :seed seed))
  ;; A text beside a chain that is not its own would get a wrong floor, so the old chain goes
  ;; first and the new one comes last.
  (_attempt path (fn [] (.unlink beside :missing-ok True)))
  (_write-atomic path (.encode text "utf-8"))
  (_write-atomic beside
                 (.encode (+ (_chain-toml chain) f"\n[drawn]\nlines = {count}\nseed = {seed}\n")
                          "utf-8"))
  #(path beside))

(defn write-chain [chain path]
  "Chain, file name -> None: the chain as a TOML file."
  (_write-atomic (Path path) (.encode (_chain-toml chain) "utf-8")))

(defn read-chain [path]
  "file name -> Chain: the chain in a TOML file."
  (setv table   (_read-table (Path path))
        lacking (lfor key ["chars" "start" "transitions" "line_length"] :if (not-in key table) key))
  (when lacking
    (raise (RequestError (+ f"{path} is no chain, it lacks {(.join ", " lacking)}: "
                            "make one with nanogpt-hy data ab --out FILE"))))
  (try
    (Chain (get table "chars") (get table "start") (get table "transitions")
           (get table "line_length"))
    (except [e RequestError]
      (raise (RequestError f"{path}: {e}") :from None))))

(defn chain-beside [text-path text]
  "file name, str -> Chain or None: the chain beside a text, if the text can come from it."
  (setv path (Path text-path))
  (try
    (setv chain (read-chain (.with-suffix path ".toml")))
    (except [[RequestError ValueError]]
      (return None)))
  (when (_fits chain text) chain))

(defn line-length [text * [at-least 10]]
  "str -> int or None: the length all lines share, if the text is that many or more such lines.
  The newline that ends a line is not counted; lines without any character are no lines."
  (setv length (.find text "\n")
        ends   (cut text length None (+ (abs length) 1)))   ; the first line's end, and so on
  (if (and (> length 0)
           (>= (len ends) at-least)
           (= (len text) (* (len ends) (+ length 1)))
           (= (.count text "\n") (.count ends "\n") (len ends)))
      length
      None))

(defn _fits [chain text]
  "Chain str -> bool: could these lines, whole lines only, have come from the chain?"
  (setv width (+ chain.line-length 1)
        step  (* width (max 1 (// 1,000,000 width))))
  (and (= (line-length text :at-least 1) chain.line-length)
       (all (gfor i (range 0 (len text) step)
                  (_possible chain (_indices chain (cut text i (+ i step))))))))

(defn _indices [chain text]
  "str of N lines -> (N L): the place of each character among the chain's, V for any other."
  (setv codes (np.array (list (map ord chain.chars)) "<u4")
        order (np.argsort codes)
        width (+ chain.line-length 1)
        asked (ncut (.reshape (np.frombuffer (.encode text "utf-32-le" "surrogatepass") "<u4")
                              -1 width)
                    : :-1)
        place (get order (np.minimum (np.searchsorted codes asked :sorter order)
                                     (- (len codes) 1))))
  (np.where (= (get codes place) asked) place (len codes)))

(defn _possible [chain indices]
  "(N L) places of characters -> bool: known characters, possible starts, possible steps."
  ;; One more character, which never comes, stands for every unknown one.
  (setv start (np.append (> (np.array chain.start) 0) False)                  ; (V+1)
        steps (np.pad (> (np.array chain.transitions) 0) #(#(0 1) #(0 1))))   ; (V+1 V+1)
  (bool (and (.all (get start (ncut indices : 0)))
             (.all (get steps #((ncut indices : :-1) (ncut indices : 1:)))))))

(defn _chain-toml [chain]
  "Chain -> str: the TOML that read-chain reads."
  ;; The strings of JSON are those of TOML, but for DEL, which TOML wants escaped.
  (setv chars (.replace (json.dumps chain.chars :ensure-ascii False) "\x7f" "\\u007f")
        rows  (.join ",\n  " (gfor row chain.transitions (str (list row)))))
  (+ "# A chain of characters: lines of line_length characters, each ended by a newline.\n"
     "# start: the weights of a line's first character; transitions: a row for each character,\n"
     "# the weights of what follows it.\n"
     f"chars = {chars}\nline_length = {chain.line-length}\n"
     f"start = {(list chain.start)}\ntransitions = [\n  {rows},\n]\n"))

(defn _read-table [path]
  "file name -> dict: a TOML file, errors in one line."
  (unless (_attempt path (fn [] (.is-file path)))
    (raise (RequestError f"{path} is not a file: name the .toml file of a chain")))
  (when (> (. (.stat path) st-size) 50,000,000)
    (raise (RequestError f"{path} has more than 50 MB, too much for a chain: name another file")))
  (try
    (-> (_attempt path (fn [] (.read-bytes path)))
        (.decode "utf-8")
        tomllib.loads)
    (except [e [ValueError RecursionError]]
      (raise (RequestError f"{path} is no TOML file ({(get (.splitlines (str e)) 0)}): mend it")
             :from None))))

(defn _check-target [path overwrite]
  "file name -> the name of the chain file beside; an error where data cannot be written."
  (when (or (= path.name "") (_attempt path (fn [] (.is-dir path))))
    (raise (RequestError f"{path} is a folder: add the name of a file, such as ab.txt")))
  (when (= (.lower path.suffix) ".toml")
    (raise (RequestError (+ f"{path} ends in .toml, the name of the chain beside the text: "
                            "use a name that ends in .txt"))))
  (unless (_attempt path (fn [] (.is-dir path.parent)))
    (raise (RequestError f"the folder {path.parent} does not exist: make it or name another")))
  (setv beside (.with-suffix path ".toml"))
  (for [file [path beside]]
    (when (and (.exists file) (not overwrite))
      (raise (RequestError f"{file} is there already: name another file or remove it first"))))
  beside)

(defn _write-atomic [path content]
  "file name, bytes -> None: the whole file or, after any failure, the old one."
  (setv draft (.with-name path f".{path.name}.{(os.getpid)}.tmp"))
  (defn write []
    (with [f (open draft "wb")]
      (.write f content)
      (.flush f)
      (os.fsync (.fileno f)))
    (os.replace draft path))
  (try
    (_attempt path write)
    (except [e Exception]
      (.unlink draft :missing-ok True)
      (raise e))))

(defn _attempt [path act]
  "file name, function -> its result: what the system refuses becomes one line."
  (try
    (act)
    (except [e OSError]
      (setv full (in e.errno [errno.ENOSPC errno.EDQUOT errno.EIO])
            kind (if full WorkError RequestError)
            out  (if full "make room and try again" "name another file"))
      (raise (kind f"{path}: {(.lower (or e.strerror (str e)))}: {out}") :from None))
    (except [e ValueError]
      (raise (RequestError f"{path !r} is no file name ({e}): name another file") :from None))))


;;; Exact probabilities and floors

(defn next-probabilities [chain context]
  "Chain str -> {character: p}: what comes next in the endless stream, given its last characters.
  The context may start inside a line: then every place it can have is weighed."
  (setv pieces  (.split context "\n")
        last    (- (len pieces) 1)
        places  (lfor [i piece] (enumerate pieces)
                      (_places chain piece :begins (> i 0) :ends (< i last)))
        hidden  (get places -1)
        line    (get pieces -1))
  (unless (all (gfor w places (> (.sum w) 0)))
    (raise (RequestError (+ f"the chain never gives {context !r}: ask for a context of lines of "
                            f"{chain.line-length} characters that it can draw"))))
  (setv done (/ (get hidden -1) (.sum hidden))     ; the chance that the line is at its end
        now  (if line
                 (np.array (get chain.transitions (.index chain.chars (get line -1))))
                 (_mixed hidden (_marginals chain))))
  (| (dict (zip chain.chars (.tolist (* (- 1 done) now))))
     {"\n" (float done)}))

(defn floor [chain * [context None]]
  "Chain -> nats per token: the least loss of a model that sees `context` tokens, or all of them."
  (setv floors (floors-by-context chain))
  (when (and (is-not context None) (< context 0))
    (raise (RequestError f"a context has {context} tokens, fewer than 0: use 1 or more")))
  (get floors (if (is context None) -1 (min context chain.line-length))))

(defn window-floor [chain block-size]
  "Chain int -> nats per token: the least loss over random windows, where token t sees t + 1."
  (unless (>= block-size 1)
    (raise (RequestError f"block-size is {block-size}, fewer than 1: use 1 or more")))
  (setv floors  (floors-by-context chain)
        L       chain.line-length
        partial (sum (cut floors 1 (+ (min block-size L) 1)))
        full    (* (get floors -1) (max 0 (- block-size L))))
  (/ (+ partial full) block-size))

(defn floors-by-position [chain]
  "Chain -> L + 1 nats: the floor of each token of a line whose start is seen; the newline's is 0."
  (setv steps (_entropy (np.array chain.transitions))                       ; (V)
        m     (_marginals chain))                                           ; (L V)
  [(float (_entropy (np.array chain.start))) #* (.tolist (@ (ncut m :-1) steps)) 0.0])

(defn floors-by-context [chain]
  "Chain -> L + 1 nats per token: the floors of models that see 0, 1, ... L tokens.
  L tokens are as good as all: without a newline among them they are the whole line."
  (setv L     chain.line-length
        m     (_marginals chain)                                            ; (L V)
        T     (np.array chain.transitions)                                  ; (V V)
        seen  (floors-by-position chain)
        alone (_entropy (np.append (/ (.sum m :axis 0) (+ L 1)) (/ 1 (+ L 1))))
        later (_entropy T)                                                  ; (V)
        out   [(float alone)])
  (for [k (range 1 (+ L 1))]
    ;; The first k tokens of a line see the newline before it, so they know their place. For the
    ;; others the context is k characters from somewhere in a line. All the stream tells about
    ;; their place is in the first of them: from there on every place has the same transitions.
    (setv first (.sum (ncut m (: (+ (- L k) 1))) :axis 0)                   ; (V) such contexts
          done  (/ (get m (- L k)) (np.where (> first 0) first 1))          ; (V) and the line ends
          here  (+ (_entropy (np.stack [done (- 1 done)] -1)) (* (- 1 done) later)))
    (.append out (float (/ (+ (sum (cut seen k)) (@ first here)) (+ L 1))))
    (setv later (@ T later)))             ; the entropy of the step one character further from first
  out)

(defn _marginals [chain]
  "Chain -> (L V): the probability of each character at each place of a line."
  (setv T    (np.array chain.transitions)
        rows [(np.array chain.start)])
  (for [_ (range 1 chain.line-length)]
    (.append rows (@ (get rows -1) T)))
  (np.stack rows))

(defn _mixed [weights rows]
  "(L+1) (L V) -> (V): the mean of the rows by their weights; the last weight has no row."
  (setv w (ncut weights :-1))
  (/ (@ w rows) (.sum w)))

(defn _places [chain piece * begins ends]
  "Chain str -> (L - len + 1): the weight of each place of a line at which the piece may begin.
  A piece that `begins` stands at its line's start, one that `ends` reaches the line's end."
  (setv L     chain.line-length
        at    (lfor c piece (.find chain.chars c))
        steps (gfor [i j] (zip at (cut at 1 None)) (get chain.transitions i j)))
  (when (or (> (len piece) L) (in -1 at) (not (all steps)))
    (return (np.zeros 1)))
  (setv w (if piece
              (.copy (ncut (_marginals chain) (: (+ (- L (len piece)) 1)) (get at 0)))
              (np.ones (+ L 1))))
  (when begins (setv (get w (slice 1 None)) 0.0))
  (when ends (setv (get w (slice None -1)) 0.0))
  w)

(defn _entropy [p]
  "(... V) -> (...): nats; what never happens adds nothing."
  (setv logs (np.log (np.where (> p 0) p 1)))
  (- (.sum (* p logs) :axis -1)))


;;; The counting model

(defn count-loss [train-ids ids vocab-size order * [smoothing 0.1]]
  "(N) (M) ids -> nats per token: the loss on `ids` of counting what followed `order` tokens.
  p = (times token followed context + smoothing) / (times context was seen + smoothing V), counted
  in train-ids. The first `order` tokens of `ids` have no whole context and are left out of the
  mean. Without smoothing, something never seen makes the loss infinite."
  (_check-counting vocab-size order smoothing)
  (setv known   (_grams train-ids vocab-size order)                         ; (N - order)
        asked   (_grams ids vocab-size order)                               ; (M - order)
        times   (+ (_counts known asked) smoothing)
        total   (+ (_counts (// known vocab-size) (// asked vocab-size)) (* smoothing vocab-size)))
  (with [(np.errstate :divide "ignore")]
    (float (- (np.mean (np.log (/ times (np.where (> total 0) total 1))))))))

(defn _grams [ids vocab-size order]
  "(N) -> (N - order): each run of order + 1 tokens as one number: context times V plus the last."
  (setv ids   (np.asarray ids)
        count (- ids.size order))
  (when (< count 1)
    (raise (RequestError (+ f"{ids.size} tokens are too few to count order {order}, which needs "
                            f"{(+ order 1)}: use a longer text or a smaller order"))))
  (unless (and (<= 0 (.min ids)) (< (.max ids) vocab-size))
    (raise (RequestError (+ f"the ids go from {(.min ids)} to {(.max ids)}, not from 0 to "
                            f"{(- vocab-size 1)}: encode the text with this vocabulary"))))
  (setv grams (np.zeros count "i8"))
  (for [i (range (+ order 1))]
    (setv grams (+ (* grams vocab-size) (cut ids i (+ i count)))))
  grams)

(defn _counts [known asked]
  "(N) (M) -> (M): how often each number asked for is among those known."
  (setv [values counts] (np.unique known :return-counts True)
        place           (np.minimum (np.searchsorted values asked) (- (len values) 1)))
  (np.where (= (get values place) asked) (get counts place) 0))

(defn _check-counting [vocab-size order smoothing]
  "ints, a float -> None: an order whose contexts can be numbered, and a smoothing that adds."
  (unless (and (>= order 0) (<= (** vocab-size (+ order 1)) (** 2 63)))
    (raise (RequestError (+ f"order {order} with a vocabulary of {vocab-size} cannot be counted in "
                            "63 bits: use an order from 0 to 3"))))
  (unless (>= smoothing 0)
    (raise (RequestError f"the smoothing is {smoothing}, below 0: use for example 0.1"))))
