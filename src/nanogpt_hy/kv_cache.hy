"The KV cache: a token's keys and values do not change when others follow, so they are kept, and
only the new token goes through the model (inference.hy). What is asked for often is recorded."

(eval-when-compile
  (require hyrule [-> ncut unless]))
(import  contextlib [contextmanager nullcontext]
         torch
         nanogpt-hy.fast [ACTIVATIONS]
         nanogpt-hy.inference [is-divided is-plain reader]
         nanogpt-hy.recording [can-record record])

(setv FEW   16,384      ; numbers: with more, oneDNN is quicker
      OFTEN 100)        ; times: who asked so often may ask as often again, and that pays

(defn memory-for [model B]
  "-> tensors (2 B H T D), one a block: room for the keys and values of B texts of up to block-size
  tokens."
  (setv table model.transformer.wpe.weight
        [T C] table.shape)
  (lfor  layer model.transformer.h
         (.new-empty table #(2 B layer.attn.n-head T (// C layer.attn.n-head)))))

(defn changes [weights]
  "A list that differs as soon as WEIGHTS change: where each lies, and how often it was changed
  there, which torch counts, but for what was made in inference mode."
  (lfor  w weights  #((.data-ptr w) (if (.is-inference w) None w._version))))

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
  it holds; None if nobody can say, for an activation is none of fast's."
  (setv names  (dfor  [name act] (.items ACTIVATIONS)  (id act) name)
        layers (lfor  block model.transformer.h
                      #(block.attn.n-head block.attn.scale block.ln-1.eps block.ln-2.eps
                        (.get names (id block.mlp.activation)))))
  (when (all (gfor  [#* _ name] layers  name))
    #(#* layers model.transformer.ln-f.eps #* (gfor  t tensors  t.shape))))

(defclass Reader []
  "A model's `reader`, for its weights as they are now: of a whole window, or of one token more.
  What it is asked for often is recorded, for the readers of all models of its form. If it PACKS
  weights, it takes a moment to make and is quicker for several texts, and for windows."

  (defn __init__ [self model packs]
    (setv table        model.transformer.wpe.weight
          self.read    (reader model packs)
          self.widest  (* 4 (get table.shape 1))
          self.divided (is-divided table)
          form         (when (is-plain table) (form-of model self.read.tensors))
          self.records (when form (.setdefault RECORDS form {}))))

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
    (with [_ (self.gelu #* shape)]
      (when (or (is self.records None) (torch.is-autocast-enabled "cpu"))
        (return (act #* tensors)))
      (setv key   #(name shape)
            found (.get self.records key 0)
            held  self.read.tensors)
      (when (and (= found OFTEN) (can-record))
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
    "Whether it was made for MODEL, with the numbers that its weights hold now. What torch does not
    count is not noticed: numbers changed by way of .data, weights or layers that others took the
    place of (load-state-dict with assign), another activation. Make a new cache then."
    (and (is model self.model)
         (= self.changes (changes self.weights))))

  (defn learn [self model packs]
    (setv self.model   model
          self.packs   packs
          self.weights (list (.parameters model))
          self.changes (changes self.weights)
          self.reader  (Reader model packs)
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
    (setv several (> (len ids) 1))
    (unless (and (self.knows model) (or self.packs (not several)))
      (self.learn model several))
    (unless (self.remembers ids)
      (when full
        (unless self.packs             ; the next window will be full, too
          (self.learn model True))
        (return (.window self.reader ids)))
      (self.begin ids))
    (setv known    (get self.ids.shape 1)
          logits   (if known
                     (.token self.reader ids self.memory)
                     (.tokens self.reader ids self.memory))
          self.ids ids)
    logits)

  (defn next-logits [self model ids * [block-size 0]]
    "(B T) -> (B V): what the course's `next-logits` says of a FastGPT in evaluation, to rounding.
    BLOCK-SIZE is at most that of the model, which 0 stands for."
    (setv size (or block-size model.transformer.wpe.num-embeddings)
          ids  (ncut ids : (: (- size) None))
          full (= (get ids.shape 1) size))
    ;; A copy made here may be used for anything; what inference mode makes may not.
    (.clone (self.logits model ids full))))
