"A trained model writes: its logits are filtered, a token is drawn, the text streams out.

What a model thinks comes from the course's `next-logits`, or for stage fast from a KVCache that
says the same sooner; everything here only filters, draws and puts into words. The one place that
asks the model is `steps`."

(eval-when-compile
  (require hyrule [-> ncut unless]))
(import  contextlib [contextmanager]
         dataclasses [dataclass]
         hashlib [sha256]
         itertools [tee]
         math [isfinite log]
         numbers [Integral Real]
         operator [itemgetter]
         secrets [randbits]
         rich.cells [cell-len set-cell-size]
         rich.text [Text]
         torch
         torch.nn.functional :as F
         nanogpt-hy.course [next-logits]
         nanogpt-hy.errors [RequestError WorkError]
         nanogpt-hy.fast [FastGPT KVCache]
         nanogpt-hy.lab.data.encoding [decoder known-text unknown-characters])

(setv SEPARATOR "---------------\n"     ; between samples, where there is more than one
      AT-ONCE   16)                     ; samples in a batch: more hardly makes it quicker, on a CPU


;;; What may be asked

(defn demand [holds option value limit]
  "RequestError unless HOLDS: the option, its value, and what it may be."
  (unless holds
    (raise (RequestError f"{option} is {value}: it has to be {limit}"))))

(defn whole [x least]
  "Whether X is a whole number, LEAST or more."
  (and (isinstance x Integral) (not (isinstance x bool)) (>= x least)))

(defn finite [x]
  "Whether X is a number, and neither infinite nor nan."
  (and (isinstance x Real) (not (isinstance x bool)) (isfinite x)))

(defn check-filters [temperature top-k top-p]
  "RequestError if one of them is nothing to filter with."
  (demand (and (finite temperature) (>= temperature 0))
          "--temperature" temperature "a number, 0 (always the likeliest token) or more")
  (demand (whole top-k 0) "--top-k" top-k "a whole number, 0 (all tokens) or more")
  (demand (and (finite top-p) (< 0 top-p) (<= top-p 1))
          "--top-p" top-p "more than 0 and at most 1 (all tokens)"))

(defclass [(dataclass :frozen True :kw-only True)] Settings []
  "How a text is drawn. The defaults draw with the probabilities that the model gives."
  (setv #^ float temperature 1.0
        #^ int top-k 0
        #^ float top-p 1.0
        #^ int max-new-tokens 500
        #^ int num-samples 1
        #^ (| int None) seed None           ; None: another one each time
        #^ (| str None) stop None
        #^ str unknown "error"              ; or "skip": what to do with characters never seen
        #^ str window "exact")              ; or "half": what the model sees past block-size

  (defn __post-init__ [self]
    (check-filters self.temperature self.top-k self.top-p)
    (demand (whole self.max-new-tokens 0)
            "--max-new-tokens" self.max-new-tokens "a whole number, 0 or more")
    (demand (whole self.num-samples 1)
            "--num-samples" self.num-samples "a whole number, 1 or more")
    (demand (or (is self.seed None) (and (whole self.seed 0) (<= self.seed 0xffffffff)))
            "--seed" self.seed f"a whole number from 0 to {0xffffffff}")
    (demand (!= self.stop "") "--stop" "empty" "a text, or left out")
    (demand (in self.unknown ["error" "skip"]) "--unknown" self.unknown "error or skip")
    (demand (in self.window ["exact" "half"]) "--window" self.window "exact or half")))


;;; From logits to a token

(defn check-logits [logits]
  "WorkError if nothing can be drawn from LOGITS: their largest is no number."
  (unless (.all (torch.isfinite (.amax logits :dim -1)))
    (raise (WorkError (+ "the model gives no probabilities for the next token, so its weights are "
                         "not finite: use another checkpoint")))))

(defn tempered [logits temperature]
  "(... V) -> (... V): the logits of a more careful (below 1) or more daring (above 1) model."
  ;; Measured from the largest, and divided by what float32 can hold, nothing becomes 0/0.
  (if (= temperature 1)
    logits
    (/ (- logits (.amax logits :dim -1 :keepdim True)) (min 1e30 (max temperature 1e-30)))))

(defn among-top-k [scores k]
  "(... V) -> (... V) bool: the k largest, and all that equal the k-th."
  (setv largest (. (torch.topk scores (min k (get scores.shape -1)) :dim -1) values))    ; (... k)
  (>= scores (ncut largest ... (: -1 None))))

(defn among-top-p [probabilities p]
  "(... V) -> (... V) bool: the likeliest, as few as together reach p; of equals the first ones."
  (setv [ordered places] (torch.sort probabilities :dim -1 :descending True :stable True)
        sums   (.cumsum ordered :dim -1)                    ; (... V)
        before (F.pad (ncut sums ... (: None -1)) [1 0]))   ; (... V) the sum of all likelier ones
  (.scatter (torch.zeros-like places :dtype torch.bool) -1 places (< before p)))

(defn next-probabilities [logits * [temperature 1.0] [top-k 0] [top-p 1.0]]
  "(... V) -> (... V): the probabilities to draw from, after temperature, top-k and top-p.

  They follow one upon the other, each upon what the one before has left. Temperature 0 takes the
  likeliest token, the first one of equals. Top-k 0 is off, more than V is V, and tokens that equal
  the k-th stay: none is preferred to one that is just as likely. Top-p keeps the fewest tokens
  whose probabilities reach p, so always one. These are the conventions of nanoGPT (which has no
  top-p) and of Hugging Face's TopKLogitsWarper and TopPLogitsWarper."
  (check-filters temperature top-k top-p)
  (check-logits logits)
  (when (= temperature 0)
    (return (.to (F.one-hot (.argmax logits :dim -1) (get logits.shape -1)) torch.float32)))
  (when (in logits.dtype [torch.float16 torch.bfloat16])
    (setv logits (.float logits)))            ; sums of rounded probabilities would miss p
  (setv scores (tempered logits temperature))
  (when top-k
    (setv scores (torch.where (among-top-k scores top-k) scores (- torch.inf))))
  (when (< top-p 1)
    (setv kept (among-top-p (F.softmax scores :dim -1) top-p)
          scores (torch.where kept scores (- torch.inf))))
  (F.softmax scores :dim -1))

(defn draw [probabilities generator]
  "(B V) -> (B 1): one token a row, all from GENERATOR or each from its own in a list of them."
  (if (isinstance generator list)
    (torch.cat (lfor  [row its-own] (zip (.split probabilities 1) generator)
                      (draw row its-own)))
    (torch.multinomial probabilities 1 :generator generator)))

(defn sample-generator [seed index [device "cpu"]]
  "The generator of sample number INDEX, the same whether or not there are others. The first one
  starts at SEED itself, so it draws what the course's `generate` draws from that seed."
  (setv digest (.digest (sha256 (.encode f"{seed} sample {index}")))
        start  (if (= index 0) seed (int.from-bytes (cut digest 4) "big")))
  (.manual-seed (torch.Generator device) start))


;;; Token after token

(defclass [(dataclass :frozen True :eq False)] Step []
  "One token more for each row: what came before, what the model said, what was drawn."
  #^ torch.Tensor ids                ; (B T)
  #^ torch.Tensor logits             ; (B V)
  #^ torch.Tensor probabilities      ; (B V) after the filters
  #^ torch.Tensor drawn              ; (B)
  #^ int seen)                       ; how many of the T tokens the model saw

(defn [contextmanager] asleep [layers]
  "While it lasts nothing drops out; after it each of LAYERS is in the mode that it was in."
  (setv awake (lfor  layer layers  :if layer.training  layer))
  (for [layer awake]
    (setv layer.training False))
  (try
    (yield)
    (finally
      (for [layer awake]
        (setv layer.training True)))))

(defn in-eval-mode [model]
  "A context in which MODEL is in evaluation mode; see `asleep`."
  (asleep (list (.modules model))))

(defn asker [model]
  "Who asks MODEL: for stage fast one who keeps what it computed, else the course's `next-logits`."
  (if (isinstance model FastGPT)
    (. (KVCache) next-logits)
    next-logits))

(defn dropped [T block-size window]
  "How many of T tokens are gone: none where the window is exact (`next-logits` moves it on by one
  token); where it is half, a full window drops its older half  ; (dropped 9 8 \"half\") => 4"
  (when (or (= window "exact") (not block-size))
    (return 0))
  (setv half  (// (+ block-size 1) 2)
        times (- (// (- block-size T) half)))     ; rounded up
  (* half (max 0 times)))

(defn [(torch.no-grad)] steps [model ids count * [block-size 0] [settings (Settings)]
                               [generator None] [ask None]]
  "(B T) -> COUNT Steps, as they are asked for.

  ASK is the one who asks the model (see `asker`): called as `next-logits` is, each time with all
  ids so far, one column more than the last time; so it may remember what it computed then. Only
  with window half does it get fewer, each time that the older half is dropped."
  (unless (get ids.shape 1)
    (raise (RequestError "there are no tokens to go on from: give at least one")))
  (setv ask    (or ask (asker model))
        layers (list (.modules model)))      ; found once: it takes as long as a small layer
  (for [_ (range count)]
    (setv T     (get ids.shape 1)
          shown (ncut ids : (: (dropped T block-size settings.window) None)))      ; (B t)
    ;; Between two steps the model belongs to the caller, who may train it.
    (with [_ (asleep layers)]
      (setv logits (ask model shown :block-size block-size)))           ; (B V)
    (setv probabilities (next-probabilities logits :temperature settings.temperature
                                            :top-k settings.top-k :top-p settings.top-p)
          drawn (draw probabilities generator))                         ; (B 1)
    (yield (Step ids logits probabilities (ncut drawn : 0)
                 :seen (min (get shown.shape 1) (or block-size T))))
    (setv ids (torch.cat [ids drawn] :dim 1))))                         ; (B T+1)

(defn tokens [model ids count #** how]
  "(B T) -> COUNT times (B): the tokens that each row goes on with. HOW: see `steps`."
  (for [step (steps model ids count #** how)]
    (yield step.drawn)))


;;; From tokens to text

(defn decoded [tokenizer ids]
  "ids -> str...: one piece a token, what of the text is complete by then, and a last one."
  (setv decoding (decoder tokenizer))
  (for [id ids]
    (yield (.feed decoding id)))
  (yield (.end decoding)))

(defn overlap [text stop]
  "How many characters at the end of TEXT may be the beginning of STOP
  ; (overlap \"say: en\" \"end\") => 2"
  (setv longest (min (len text) (- (len stop) 1)))
  (next (gfor  n (range longest 0 -1)  :if (.endswith text (cut stop n))  n) 0))

(defn until-stop [pieces stop]
  "str... -> str...: the same text up to where STOP begins. What may be STOP's beginning waits until
  it is known not to be; once STOP is there, no further piece is asked for."
  (setv held "")
  (for [piece pieces]
    (setv held  (+ held piece)
          found (.find held stop))
    (when (>= found 0)
      (yield (cut held found))
      (return))
    (setv sure (- (len held) (overlap held stop)))
    (yield (cut held sure))
    (setv held (cut held sure None)))
  (yield held))

(defn known-prompt [tokenizer prompt [unknown "error"]]
  "str -> str: a PROMPT that TOKENIZER can encode. Its unknown characters are left out (\"skip\") or
  named in an error, each with its first place."
  (known-text tokenizer prompt "the prompt" "leave them out, as --unknown skip does"
              :skip (= unknown "skip")))

(defn possible-starts [tokenizer starts]
  "What a checkpoint says of first characters and their counts, without what cannot be."
  (dfor  [char count] (.items (if (isinstance starts dict) starts {}))
         :if (and (= (len char) 1) (whole count 1) (not (unknown-characters tokenizer char)))
         char (min count (** 2 53))))

(defn draw-start [starts generator]
  "dict, character -> count; a character, drawn as often as it begins a line."
  (setv counts (torch.tensor (list (.values starts)) :dtype torch.float32
                             :device generator.device)
        drawn  (torch.multinomial counts 1 :generator generator))
  (get (list starts) (int drawn)))

(defn beginning [tokenizer prompt starts generator]
  "-> #(ids text): what the model goes on from, and what of it is shown.

  That is the PROMPT. Where there is none the model starts a new line: it goes on from a newline,
  which is not shown, and writes the line's first character itself. If it never saw a newline,
  that character is drawn from STARTS, those that begin a line of the training text with their
  counts, and shown, since it is part of the text."
  (setv starts (possible-starts tokenizer starts))
  (cond
    prompt #((.encode tokenizer prompt) prompt)
    ;; One line alone has no newline before it, though bytes could write one.
    (not (or (unknown-characters tokenizer "\n") (= (sum (.values starts)) 1)))
      #((.encode tokenizer "\n") "")
    starts (do (setv start (draw-start starts generator))
               #((.encode tokenizer start) start))
    True (raise (RequestError (+ "the checkpoint does not say how a text begins: "
                                 "give a beginning, --prompt TEXT")))))

(defn begun [model tokenizer prompt index * starts seed]
  "-> #(ids text generator): how sample number INDEX begins, as ids (1 T) and as text, and where the
  draws that follow come from."
  (setv device    (. (next (.parameters model)) device)
        generator (sample-generator seed index device)
        [ids text] (beginning tokenizer prompt starts generator))
  #((torch.tensor [ids] :device device) text generator))

(defn text-pieces [tokenizer text drawn settings]
  "(1)... -> str...: a sample: TEXT first, then the tokens DRAWN, in pieces as they come."
  (yield text)
  (setv pieces (decoded tokenizer (gfor  t drawn  (int t))))
  (yield :from (if settings.stop (until-stop pieces settings.stop) pieces)))

(defn samples [model tokenizer prompt indices * settings starts seed #** how]
  "-> (str...)...: the samples number INDICES in pieces, drawn as one batch. HOW: see `steps`.

  A row's tokens wait until its turn comes; what no sample asks for is not drawn."
  (setv begun-ones (lfor  index indices
                          (begun model tokenizer prompt index :starts starts :seed seed))
        ids   (torch.cat (lfor  [ids _ _] begun-ones  ids))                        ; (B T)
        drawn (tokens model ids settings.max-new-tokens :settings settings
                      :generator (lfor  [_ _ generator] begun-ones  generator) #** how))
  (for [[row [_ text _] column] (zip (range (len ids)) begun-ones (tee drawn (len ids)))]
    (yield (text-pieces tokenizer text (map (itemgetter row) column) settings))))

(defn write-pieces [pieces out]
  "str... -> str: write the PIECES to the file OUT, each at once, and a last newline if they do not
  end in one; the text, without that."
  (setv written [])
  (for [piece pieces  :if piece]
    (.write out piece)
    (.flush out)
    (.append written piece))
  (setv text (.join "" written))
  (unless (.endswith text "\n")
    (.write out "\n")
    (.flush out))
  text)

(defn seed-of [settings]
  "The seed that is asked for, or a new one."
  (if (is settings.seed None) (randbits 32) settings.seed))

(defn batches [count size]
  "The numbers below COUNT in runs of SIZE
  ; (list (map list (batches 5 2))) => [[0 1] [2 3] [4]]"
  (gfor  start (range 0 count size)  (range start (min count (+ start size)))))

(defn sample-texts [model tokenizer out * [prompt ""] [settings (Settings)] [starts None] #** how]
  "-> list of str: samples, written to the file OUT one after the other, a line of dashes between
  two. Each has the PROMPT before it (see `beginning` if there is none).

  A terminal sees each one grow while it is drawn; for a file they are drawn many at a time. The
  stop string ends a sample before it would be written, wherever the model itself wrote it. STARTS
  is what the checkpoint says under data, starts. HOW goes to `steps`: `block-size`, `ask`."
  (setv prompt (known-prompt tokenizer (or prompt "") settings.unknown)
        seed   (seed-of settings)
        texts  [])
  (for [indices (batches settings.num-samples (if (.isatty out) 1 AT-ONCE))
        pieces  (samples model tokenizer prompt indices :settings settings :starts starts
                         :seed seed #** how)]
    (when texts
      (.write out SEPARATOR))
    (.append texts (write-pieces pieces out)))
  texts)


;;; Why this token

(defclass [(dataclass :frozen True)] Candidate []
  "A token that could come next: its probability by the model, and after the filters."
  #^ int id
  #^ str text
  #^ float before
  #^ float after)                    ; 0: cut

(defclass [(dataclass :frozen True)] Explained []
  "How one token came about."
  #^ str context                     ; the end of what the model saw
  #^ tuple likeliest                 ; Candidates, by their probability before
  #^ int cut                         ; how many tokens the filters cut ...
  #^ float cut-share                 ; ... and their probability before
  #^ Candidate drawn
  #^ float surprise                  ; nats, -ln of the drawn one's probability before: its loss
  #^ str text)                       ; what the text gained by it

(defn explain-step [step tokenizer text * [likeliest 8]]
  "Step of one row -> Explained."
  (setv before (F.softmax (.double (.cpu (get step.logits 0))) :dim -1)  ; (V)
        after  (.cpu (get step.probabilities 0))                         ; (V)
        order  (. (torch.sort before :descending True :stable True) indices)
        cut-off (= after 0)                                              ; (V)
        tail   (cut (.tolist (get step.ids 0)) (- (min step.seen 16)) None))
  (defn candidate [id]
    (Candidate id (.decode tokenizer [id]) (float (get before id)) (float (get after id))))
  (setv drawn (candidate (int step.drawn)))
  (Explained (.decode tokenizer tail)
             (tuple (map candidate (.tolist (cut order likeliest))))
             (int (.sum cut-off))
             (float (.sum (get before cut-off)))
             drawn
             (if drawn.before (- (log drawn.before)) (float "inf"))
             text))

(defn explain [model tokenizer ids * [settings (Settings)] [generator None] [likeliest 8] #** how]
  "(1 T) -> Explained...: what `tokens` would draw, one at a time, with its reasons. It ends after
  the token that completes the stop string. HOW: see `steps`."
  (setv decoding (decoder tokenizer)
        count    settings.max-new-tokens
        written  "")
  (for [[n step] (enumerate (steps model ids count :settings settings :generator generator #** how)
                            1)]
    (setv text    (.feed decoding (int step.drawn))
          text    (if (= n count) (+ text (.end decoding)) text)
          written (+ written text))
    (yield (explain-step step tokenizer text :likeliest likeliest))
    (when (and settings.stop (in settings.stop written))
      (return))))

(defn visible [text]
  "A text in quotes, its newlines escaped; half a character as ?
  ; (visible \"\\n\") => \"'\\\\n'\""
  (repr (.replace text "\ufffd" "?")))

(defn label [candidate]
  "A token as the table shows it: its text, or its number where it is but a part of a character."
  (setv shown (if (in "\ufffd" candidate.text) f"#{candidate.id}" (visible candidate.text)))
  (if (> (cell-len shown) 12) (+ (set-cell-size shown 10) "..") shown))

(defn fit-left [text width]
  "The end of TEXT that, made visible, is at most WIDTH wide."
  (while (and text (> (cell-len (visible text)) width))
    (setv text (cut text 1 None)))
  (visible text))

(defn pad [text width]
  "TEXT, filled up with spaces to WIDTH columns."
  (+ text (* " " (- width (cell-len text)))))

(defn percent [probability]
  "Of 100, three columns or fewer  ; (percent 0.414) => '41'"
  (if (< 0 probability 0.01) "<1" f"{(* 100 probability) :.0f}"))

(defn candidate-cell [candidate filtered]
  "A candidate, its percentage by the model and, if FILTERED, what the filters made of it."
  (+ f"{(label candidate)} {(percent candidate.before)}"
     (cond
       (not filtered) ""
       (= candidate.after 0) " cut"
       True f">{(percent candidate.after)}")))

(defn filters-anything [settings]
  "Whether SETTINGS draw otherwise than with the model's own probabilities."
  (not (= #(settings.temperature settings.top-k settings.top-p) #(1 0 1))))

(defn explain-header [filtered]
  "The line above `explain-line`s."
  (+ (pad "after" 12) "  " (pad "drawn" 6) "      %  nats"
     (if filtered (+ "  " (pad "cut" 8)) "")
     "  likeliest next, %" (if filtered ": model>filtered" "")))

(defn explain-line [explained filtered width]
  "Explained -> str: a line of at most WIDTH columns, with as many of the likeliest as fit."
  (setv line (+ (pad (fit-left explained.context 12) 12) "  "
                (pad (label explained.drawn) 6) "  "
                f"{(* 100 explained.drawn.after) :5.1f}" "  "
                f"{explained.surprise :4.2f}"
                (if filtered
                  (+ "  " (pad f"{explained.cut}: {(percent explained.cut-share)}%" 8))
                  "")))
  (for [candidate explained.likeliest]
    (setv cell (+ "  " (pad (candidate-cell candidate filtered) (if filtered 10 7))))
    (when (> (+ (cell-len line) (cell-len (.rstrip cell))) width)
      (break))
    (setv line (+ line cell)))
  (.rstrip line))

(defn show-explained [rows console * [filtered True]]
  "Explained... -> str: print a header and a line for each to the rich CONSOLE as they come; the
  text that they wrote."
  (defn say [line style]
    (.print console (Text line :style style) :soft-wrap True))
  (setv written [])
  (say (cut (explain-header filtered) console.width) "bold")
  (for [row rows]
    ;; What was to be expected looks quiet, what surprised does not.
    (say (explain-line row filtered console.width) (if (> row.surprise 1) "yellow" ""))
    (.append written row.text))
  (.join "" written))

(defn explain-texts [model tokenizer console * [prompt ""] [settings (Settings)] [starts None]
                     #** how]
  "-> list of str: what `sample-texts` writes with the same settings, each text below a table of how
  its tokens came about, printed to the rich CONSOLE."
  (setv prompt (known-prompt tokenizer (or prompt "") settings.unknown)
        seed   (seed-of settings)
        texts  [])
  (for [index (range settings.num-samples)]
    (when index
      (.write console.file SEPARATOR))
    (setv [ids text generator] (begun model tokenizer prompt index :starts starts :seed seed)
          rows    (explain model tokenizer ids :settings settings :generator generator #** how)
          written (show-explained rows console :filtered (filters-anything settings)))
    (when settings.stop
      (setv written (get (.split written settings.stop 1) 0)))
    (.write console.file "\n")
    (.append texts (write-pieces [text written] console.file)))
  texts)
