"The KV cache: fast's GPT says what follows, one token after the other.

Keys and values of a token do not change when others follow, so they are kept, and only the new
token goes through the model. Its products have a single row: what takes the time is to read the
weights, and to find the way through the layers. So every layer is here a function with all at
hand that it needs, made once for many tokens, and all threads read weights at the same time; and
what is asked for often is recorded. Nothing drops out: who writes does not train. The tests hold
that it is fast.hy's model."

(eval-when-compile
  (require hyrule [-> ncut unless]))
(import  contextlib [contextmanager nullcontext]
         itertools [repeat]
         torch
         torch.nn.functional :as F
         nanogpt-hy.products [by-onednn onednn]
         nanogpt-hy.recording [can-record record])

(setv FEW      16,384        ; numbers: with more, oneDNN is quicker
      SEVERAL  4             ; rows: with fewer, reading the weights is all that takes time
      FEW-ROWS (/ 1 12)      ; of the inputs: with more, reading the weights is no longer the most
      OFTEN    100)          ; times: who asked so often may ask as often again, and that pays

;;; The layers

(defn product [x weights biases]
  "(P n I) (P I O) -> (P n O): P products, one a thread, and BIASES, unless they are None."
  (if (is biases None)
    (torch.bmm x weights)
    (torch.baddbmm biases x weights)))

(defn holding [act #* parts]
  "The function ACT, which says what tensors it holds: PARTS, tensors, such functions, or None."
  (setv act.tensors (tuple (gfor  part parts  t (getattr part "tensors" [part])
                                  :if (is-not t None)
                                  t)))
  act)

(defn fixed [weight]
  "The numbers of WEIGHT, None if it is None, as what nobody asks for gradients."
  (when (is-not weight None)
    (.detach weight)))

(defn is-plain [weight]
  "Whether WEIGHT is of float32, on a CPU."
  (and (= weight.device.type "cpu") (is weight.dtype torch.float32)))

(defn is-divided [weight]
  "Whether products with WEIGHT are divided here, and not by torch."
  (and (is-plain weight) (torch.backends.mkl.is-available)))

(defn linear [layer]
  "nn.Linear -> function, (B t I) -> (B t O)"
  (setv [weight bias] (map fixed [layer.weight layer.bias]))
  (if (is-divided weight)
    (divided-linear weight bias)
    (holding (fn [x] (F.linear x weight bias)) weight bias)))

(defn divided-linear [weight bias]
  "(O I) (O) -> function, (B t I) -> (B t O)

  MKL divides small products badly among threads. So each thread gets a product of its own: few rows
  times its part of the weights, or its part of the rows. Weights are read fastest along their
  longer side: if that is the outputs', a copy lies so."
  (setv [O I]   weight.shape
        threads (torch.get-num-threads)
        P       (max (gfor  p (range 1 (+ threads 1))  :if (= (% O p) 0)  p))
        parts   (. (.view weight P -1 I) mT)                         ; (P I O/P)
        parts   (if (> (get parts.shape 2) I) (.contiguous parts) parts)
        biases  (if (is bias None) None (.view bias P 1 -1))
        shared  (.expand (.t weight) threads I O)
        few     (max 1 (int (* FEW-ROWS I)))
        several (if (= P threads) SEVERAL 1))    ; a row that cannot be divided is for oneDNN, too
  (defn through [x]
    (setv [B t _] x.shape
          n (* B t))
    (cond
      (and (>= n several) (by-onednn x weight))
                    (onednn x weight bias)
      (= n 1)       (-> (.expand x P 1 I)
                        (product parts biases)                       ; (P 1 O/P)
                        (.view 1 1 O))
      (<= n few)    (-> (.reshape x 1 n I)
                        (.expand P n I)
                        (product parts biases)                       ; (P n O/P)
                        (.transpose 0 1)
                        (.reshape B t O))
      (% n threads) (-> (.reshape x 1 n I)
                        (F.pad [0 0 0 (% (- n) threads)])            ; as many rows for each thread
                        through
                        (ncut : (: n))
                        (.reshape B t O))
      True          (-> (.reshape x threads -1 I)
                        (product shared bias)                        ; (threads n/threads O)
                        (.view B t O))))
  (holding through weight bias parts biases shared))

(defn norm [layer]
  "nn.LayerNorm -> function, (B t C) -> (B t C)"
  (setv [weight bias] (map fixed [layer.weight layer.bias])
        [shape eps]   [layer.normalized-shape layer.eps])
  (holding (fn [x] (torch.layer-norm x shape weight bias eps)) weight bias))

(defn attention [layer]
  "Attention -> function, (B t C) -> (B t C), or of the last token ALONE (B 1 C), for t tokens that
  follow KNOWN others, whose keys and values are in KEPT (2 B H T D). Theirs are put there, unless
  it is None. Either KNOWN is 0 or t is 1: one token looks at all there are, so only the first case
  is masked."
  (setv [c-attn c-proj] (map linear [layer.c-attn layer.c-proj])
        [H scale] [layer.n-head layer.scale])
  (defn talk [x kept known alone]
    (setv [B t C] x.shape
          qkv (-> (c-attn x)                               ; (B t 3C)
                  (.view B t 3 H -1)                       ; (B t 3 H D)
                  (.permute 2 0 3 1 4))                    ; (3 B H t D)
          q   (get qkv 0)
          kv  (cut qkv 1 None))                            ; (2 B H t D)
    (unless (is kept None)
      (.copy- (.narrow kept 3 known t) kv)
      (setv kv (.narrow kept 3 0 (+ known t))))            ; (2 B H known+t D)
    (when alone
      (setv q (ncut q ... -1: :)))                         ; (B H 1 D)
    (-> (F.scaled-dot-product-attention q #* (.unbind kv) :scale scale
          :is-causal (bool (> (get q.shape 2) 1)))         ; (B H t D)
        (.transpose 1 2)
        (.flatten 2)                                       ; (B t C) or (B 1 C)
        c-proj))
  (holding talk c-attn c-proj))

(defn mlp [layer]
  "MLP -> function, (B t C) -> (B t C)"
  (setv [c-fc c-proj] (map linear [layer.c-fc layer.c-proj])
        activation    layer.activation)
  (holding (fn [x] (-> x c-fc activation c-proj)) c-fc c-proj))

(defn block [layer]
  "FastBlock -> function, (B t C) -> (B t C) or (B 1 C), with what else `attention` takes"
  (setv [ln-1 ln-2] (map norm [layer.ln-1 layer.ln-2])
        talk  (attention layer.attn)
        think (mlp layer.mlp))
  (defn through [x kept known alone]
    (setv said (talk (ln-1 x) kept known alone)
          x    (+ (if alone (ncut x : -1:) x) said))
    (+ x (think (ln-2 x))))
  (holding through ln-1 talk ln-2 think))

;;; The model

(defn reader [model]
  "FastGPT -> function, (B t) -> (B V): the logits after t tokens that follow KNOWN others, whose
  keys and values are in MEMORY, one tensor a block (see `attention`), or None.

  Nobody asks what the last block makes of earlier tokens, so it works for the last one alone."
  (setv transformer model.transformer
        [wte wpe]   (map fixed [transformer.wte.weight transformer.wpe.weight])
        blocks      (list (map block transformer.h))
        last        (get blocks -1)
        [ln-f lm-head] [(norm transformer.ln-f) (linear model.lm-head)])
  (defn read [ids memory known]
    (setv t (get ids.shape 1)
          x (+ (F.embedding ids wte) (.narrow wpe 0 known t)))                   ; (B t C)
    (for [[through kept] (zip blocks (or memory (repeat None)))]
      (setv x (through x kept known (is through last))))
    (ncut (lm-head (ln-f x)) : 0))                                               ; x is (B 1 C)
  (holding read wte wpe #* blocks ln-f lm-head))

(defn memory-for [model B]
  "-> tensors (2 B H T D), one a block: room for the keys and values of B texts of up to block-size
  tokens."
  (setv table model.transformer.wpe.weight
        [T C] table.shape)
  (lfor  layer model.transformer.h
         (.new-empty table #(2 B layer.attn.n-head T (// C layer.attn.n-head)))))

(defn changes [weights]
  "A list that differs as soon as WEIGHTS change: where each lies, and how often it was changed
  there, which torch counts."
  (lfor  w weights  #((.data-ptr w) w._version)))

(defn [contextmanager] without-onednn []
  "Within, torch computes itself what it would leave to oneDNN, which takes longer to begin a gelu
  of few numbers than torch to finish it. (oneDNN's products are asked for by name.)"
  (setv torch.backends.mkldnn.enabled False)
  (try
    (yield)
    (finally (setv torch.backends.mkldnn.enabled True))))

(setv RECORDS {})        ; of each form of a model: see Reader's `often`

(defn form-of [model tensors]
  "All of MODEL that decides what its reader asks torch for, but for the numbers in the TENSORS that
  it holds."
  #(#* (gfor  t tensors  t.shape)
    #* (gfor  block model.transformer.h
              #(block.attn.n-head block.attn.scale block.mlp.activation block.ln-1.eps
                block.ln-2.eps))
    model.transformer.ln-f.eps))

(defclass Reader []
  "A model's `reader`, for its weights as they are now: of a whole window, or of one token more.
  What it is asked for often is recorded, for the readers of all models of its form."

  (defn __init__ [self model]
    (setv table          model.transformer.wpe.weight
          self.read      (reader model)
          self.widest    (* 4 (get table.shape 1))
          self.divided   (is-divided table)
          self.plain     (is-plain table)
          self.records   (.setdefault RECORDS (form-of model self.read.tensors) {})))

  (defn window [self ids]
    "(B T) -> (B V): what is said after all of IDS, of which nothing is known."
    (.often self "window" ids.shape (fn [ids] (self.read ids None 0)) ids))

  (defn token [self ids memory]
    "(B T) -> (B V): the same, if all but the last column are known; that is put into MEMORY."
    (.often self "token" #((len ids) 1)
      (fn [ids #* memory]
        (self.read (ncut ids : -1:) memory (- (get ids.shape 1) 1)))
      ids #* memory))

  (defn tokens [self ids memory]
    "(B T) -> (B V): the same, if none of them are known; all are put into MEMORY."
    (with [_ (self.gelu #* ids.shape)]
      (self.read ids memory 0)))

  (defn gelu [self B t]
    "The context in which the gelu of so many tokens is quick."
    (if (and self.divided torch.backends.mkldnn.enabled (< (* B t self.widest) FEW))
      (without-onednn)
      (nullcontext)))

  (defn often [self name shape act #* tensors]
    "(ACT #* TENSORS), which NAME and the SHAPE of its new tokens stand for: under them is found how
    often it was asked for, or what was recorded."
    (setv key   #(name shape)
          found (.get self.records key 0)
          held  self.read.tensors)
    (with [_ (self.gelu #* shape)]
      (unless (and self.plain (can-record) (not (torch.is-autocast-enabled "cpu")))
        (return (act #* tensors)))
      (when (= found OFTEN)
        (setv found (record (fn [tensors held] (act #* tensors)) #(tensors held) :optimized False)
              (get self.records key) found))
      (when (callable found)
        (return (found tensors held)))
      (setv (get self.records key) (+ found 1))
      (act #* tensors))))

(defclass KVCache []
  "The keys and values of the texts that a FastGPT was last asked about: asked again with one token
  more, it computes that token's alone.

  Past block-size all tokens move one place to the left. With learned places that changes every key
  and value, so what a full window leaves is of no use and the next one is computed as a whole."

  (defn __init__ [self]
    (setv self.model None))

  (defn knows [self model]
    "Whether it was made for MODEL, with the numbers that its weights hold now. Weights that others
    have replaced as a whole (load-state-dict with assign) are not noticed: make a new cache then."
    (and (is model self.model)
         (= self.changes (changes self.weights))))

  (defn learn [self model]
    (setv self.model   model
          self.weights (list (.parameters model))
          self.changes (changes self.weights)
          self.reader  (Reader model)
          self.ids     None))

  (defn remembers [self ids]
    "Whether it has the keys and values of IDS but for the last column."
    (and (is-not self.ids None)
         (torch.equal self.ids (ncut ids : (: -1)))))

  (defn begin [self ids]
    "Make room for as many texts as IDS has rows, of which nothing is known yet."
    (setv self.memory (memory-for self.model (len ids))
          self.ids    (ncut ids : (: 0))))

  (defn [(torch.inference-mode)] logits [self model ids full]
    "(B T) -> (B V). FULL: the window is, so nothing that it leaves can be used again."
    (unless (self.knows model)
      (self.learn model))
    (unless (self.remembers ids)
      (when full
        (return (.window self.reader ids)))
      (self.begin ids))
    (setv known    (get self.ids.shape 1)
          logits   (if known
                     (.token self.reader ids self.memory)
                     (.tokens self.reader ids self.memory))
          self.ids ids)
    logits)

  (defn next-logits [self model ids * [block-size 0]]
    "(B T) -> (B V): what the course's `next-logits` says of a FastGPT in evaluation, to rounding."
    (setv ids  (ncut ids : (: (- block-size) None))
          full (= (get ids.shape 1) (or block-size model.transformer.wpe.num-embeddings)))
    ;; A copy made in here may be used for anything; what inference mode makes may not.
    (with [_ (torch.no-grad)]
      (.clone (self.logits model ids full)))))
