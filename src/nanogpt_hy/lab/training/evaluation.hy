"How good is a model? Its mean loss over batches that are drawn, or over every token there is."

(eval-when-compile
  (require hyrule [ncut unless]))
(import  itertools [islice]
         math [ceil log sqrt]
         torch
         torch.nn.functional :as F
         nanogpt-hy.course [draw-batch windows]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.data.chain-files [fits text-loss]
         nanogpt-hy.lab.data.counting [counting-loss]
         nanogpt-hy.lab.data.markov [floor window-floor]
         nanogpt-hy.lab.modes [in-eval-mode]
         nanogpt-hy.lab.training.device [sent]
         nanogpt-hy.lab.training.launch [ALONE]
         nanogpt-hy.lab.training.processes [total]
         nanogpt-hy.products [quick-products])

(setv AT-ONCE 16,384       ; tokens in a batch of an evaluation, about
      CACHED  2048)        ; on a CPU: what they become fits into its cache

(defn rows-at-once [T [device None]]
  "How many rows of T tokens make a batch, on DEVICE if that is known: at least one."
  (max 1 (// (if (and device (= device.type "cpu")) CACHED AT-ONCE) T)))

(defn token-losses [model x y]
  "(B T) (B T) -> (B T): the surprise of each target, in nats."
  (setv logits (.float (model x)))                                              ; (B T V)
  (.view-as (F.cross-entropy (.flatten logits 0 1) (.flatten y) :reduction "none") y))

(defn drawn-batches [ids count * batch-size block-size generator]
  "COUNT batches from random places."
  (for [_ (range count)]
    (yield (draw-batch ids :batch-size batch-size :block-size block-size :generator generator))))

(defn spread [count every]
  "-> (count / EVERY): of the numbers below COUNT one in EVERY: the first, of the next ones the
  second, and so on. Always the first might always be the same part of a line, where lines have one
  length."
  (setv firsts (torch.arange 0 count every))
  (.clamp (+ firsts (% (// firsts every) every)) :max (- count 1)))

(defn whole-batches [ids * block-size [every 1] [device None]]
  "Windows side by side, so that every token but the first is a target exactly once; or only one
  window in EVERY, evenly spread."
  (setv targets (- (len ids) 1)
        starts (* block-size (spread (// targets block-size) every))
        rest (% targets block-size))
  (for [some (.split starts (rows-at-once block-size device))]
    (when (len some)
      (yield (windows ids some block-size))))
  (when rest
    (yield (windows ids (torch.tensor [(- targets rest)]) rest))))

(defn line-batches [ids line-tokens * [every 1] [device None]]
  "Whole lines, or one in EVERY, each after the newline before it: no token's line begins unseen."
  (setv starts (torch.arange 0 (len ids) (* every line-tokens)))
  (for [some (.split starts (rows-at-once line-tokens device))]
    (setv lines (get ids (+ (ncut some : None) (torch.arange line-tokens))))      ; (lines T)
    (yield [(.roll lines 1 :dims 1) lines])))     ; a line's last token, its newline, comes first

(defn by-line [corpus block-size]
  "Whether evaluation goes line by line: where lines have one length and fit into the context."
  (and corpus.line-tokens (<= corpus.line-tokens block-size)))

(defn all-of [corpus ids block-size * [every 1] [device None]]
  "The batches by which all of IDS, a part of CORPUS, is judged, of the size that suits DEVICE; or
  one window or line in EVERY."
  (if (by-line corpus block-size)
    (line-batches ids corpus.line-tokens :every every :device device)
    (whole-batches ids :block-size block-size :every every :device device)))

(defn loss-floor [corpus block-size * [drawn False]]
  "What no model with this context can lose less than in the long run, in nats per token; None if
  the chain behind the text is not known. DRAWN: judged by random windows, not line by line."
  (cond
    (not (and corpus.chain corpus.line-tokens)) None
    (and (by-line corpus block-size) (not drawn)) (floor corpus.chain)
    True (window-floor corpus.chain block-size)))

(defn floor-here [corpus block-size]
  "What the chain itself loses on just this validation part, line by line; None if not known. Chance
  puts it above or below the floor, and a model's loss with it."
  (when (and corpus.chain (by-line corpus block-size))
    (setv at-once (* corpus.line-tokens (ceil (/ 100,000 corpus.line-tokens)))
          total   0)
    (for [start (range 0 (len corpus.val) at-once)]
      (setv ids  (cut corpus.val start (+ start at-once))
            text (.decode corpus.tokenizer (.tolist ids)))
      (unless (fits corpus.chain text)            ; as a stranger's token file may have it
        (raise (RequestError
          f"{corpus.path} is damaged: its text is none of its chain's: prepare it again")))
      (setv total (+ total (* (len ids) (text-loss corpus.chain text)))))
    (/ total (len corpus.val))))

(defn yardsticks [corpus block-size * [drawn False]]
  "-> {words: nats per token}: what guessing and counting pairs lose on the validation part, and the
  floors, None where they are not known. DRAWN: judged by random windows."
  {"guessing"       (log corpus.tokenizer.vocab-size)
   "counting pairs" (counting-loss corpus 1)
   "floor"          (loss-floor corpus block-size :drawn drawn)
   "floor here"     (when (not drawn) (floor-here corpus block-size))})

(defn finest [device]
  "The dtype to add up in: an Apple GPU has no float64."
  (if (= device.type "mps") torch.float32 torch.float64))

(defn rounds [batches size]
  "Lists of SIZE batches, one for each process; the last list may be shorter."
  (setv batches (iter batches))
  (iter (fn [] (list (islice batches size))) []))

(defn judged [model round group device]
  "((B T) (B T))... -> () (N): the sum of the losses of this process's batch of a ROUND, and the
  mean loss of each window in the round, 0 where another process computes it."
  ;; A model in parts computes only if all take part: who has no batch repeats the first.
  (setv mine (< group.rank (len round))
        [x y] (get round (if mine group.rank 0))
        losses (* mine (token-losses model (sent x device) (sent y device))))      ; (B T)
  [(.sum losses :dtype (finest losses.device))
   (torch.cat (lfor  [i [_ y]] (enumerate round)
                (if (= i group.rank) (.mean losses :dim 1) (.new-zeros losses (len y)))))])

(defn [(torch.no-grad)] mean-loss [model batches * [device (torch.device "cpu")] [group ALONE]]
  "((B T) (B T))... -> mean loss in nats per token, and its standard error if windows are taken as
  independent of each other. The processes of GROUP share the work."
  (setv [summed tokens means] [0 0 []])
  (with [_ (in-eval-mode model)
         _ (quick-products device)]
    (for [round (rounds batches group.size)]
      (setv [here windows-here] (judged model round group device)
            summed (+ summed here)
            tokens (+ tokens (sum (gfor  [_ y] round  (.numel y)))))
      (.append means windows-here)))
  (setv summed (total group summed)
        means (total group (torch.cat means)))
  [(.item (/ summed tokens))
   (if (> (len means) 1) (.item (/ (.std means) (sqrt (len means)))) 0.0)])
