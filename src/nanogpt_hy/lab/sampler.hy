"A trained model writes: a token is drawn, and another one, and the text streams out.

What a model thinks comes from the course's `next-logits`, or for stage fast from a KVCache that
says the same sooner; everything here only draws and puts into words. The one place that asks the
model is `steps`."

(eval-when-compile
  (require hyrule [ncut unless]))
(import  dataclasses [dataclass]
         hashlib [sha256]
         itertools [tee]
         math [inf]
         operator [itemgetter]
         secrets [randbits]
         torch
         nanogpt-hy.config [whole]
         nanogpt-hy.course [next-logits]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.fast [FastGPT]
         nanogpt-hy.kv-cache [KVCache]
         nanogpt-hy.lab.data.encoding [Decoder known-text unknown-characters]
         nanogpt-hy.lab.filters [check-filters demand filtered-probabilities]
         nanogpt-hy.lab.modes [asleep])

(setv SEPARATOR "---------------\n"     ; between samples, where there is more than one
      AT-ONCE   16)                     ; samples in a batch: more hardly makes it quicker, on a CPU

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
    (demand (whole self.max-new-tokens :most inf)
            "--max-new-tokens" self.max-new-tokens "a whole number, 0 or more")
    (demand (whole self.num-samples 1 :most inf)
            "--num-samples" self.num-samples "a whole number, 1 or more")
    (demand (or (is self.seed None) (whole self.seed :most 0xffffffff))
            "--seed" self.seed f"a whole number from 0 to {0xffffffff}")
    (demand (!= self.stop "") "--stop" "empty" "a text, or left out")
    (demand (in self.unknown ["error" "skip"]) "--unknown" self.unknown "error or skip")
    (demand (in self.window ["exact" "half"]) "--window" self.window "exact or half")))


;;; From probabilities to a token

(defn draw [probabilities generator]
  "(B V) -> (B 1): one token a row, all from GENERATOR or each from its own in a list of them.

  It is a race: each token arrives after a random time, on average 1/p, and the first one wins with
  probability p. torch.multinomial draws by the same race, and the same tokens; it takes four times
  as long over it, and for each generator anew."
  (setv times (torch.empty-like probabilities)                               ; as if each p were 1
        runs  (if (isinstance generator list) (zip times generator) [[times generator]]))
  (for [[part its-own] runs]
    (.exponential- part :generator its-own))
  (.argmax (/ probabilities times) :dim -1 :keepdim True))

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

(defn asker [model]
  "What gives MODEL's logits: for stage fast a KVCache, else the course's `next-logits`; so too
  where hooks want to hear what the layers say, or a class of its own says something else."
  (setv hooked (any (gfor  m (.modules model)  (or m._forward-hooks m._forward-pre-hooks))))
  (if (and (is (type model) FastGPT) (not hooked))
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
    (setv probabilities (filtered-probabilities logits :temperature settings.temperature
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
  (setv decoding (Decoder tokenizer))
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
         :if (and (= (len char) 1) (whole count 1 :most inf)
                  (not (unknown-characters tokenizer char)))
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
  "id... -> str...: a sample: TEXT first, then the tokens DRAWN, in pieces as they come."
  (yield text)
  (setv pieces (decoded tokenizer drawn))
  (yield :from (if settings.stop (until-stop pieces settings.stop) pieces)))

(defn samples [model tokenizer prompt indices * settings starts seed #** how]
  "-> (str...)...: the samples number INDICES in pieces, drawn as one batch. HOW: see `steps`.

  A row's tokens wait until its turn comes; what no sample asks for is not drawn."
  (setv begun-ones (lfor  index indices
                          (begun model tokenizer prompt index :starts starts :seed seed))
        ids   (torch.cat (lfor  [ids _ _] begun-ones  ids))                        ; (B T)
        drawn (gfor  step (tokens model ids settings.max-new-tokens :settings settings
                            :generator (lfor  [_ _ generator] begun-ones  generator) #** how)
                     (.tolist step)))
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
  (gfor  start (range 0 count size)  (cut (range count) start (+ start size))))

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
