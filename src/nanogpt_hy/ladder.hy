"The ladder: every stage of the lecture, one after the other.

A stage is data: what it adds, in words, and a function from a config to a model. From `position` on
a model is a body between embedding and lm-head, and what a stage adds is the difference of two
bodies. (The lecture: Andrej Karpathy, Let's build GPT, 2023;
https://github.com/karpathy/ng-video-lecture has a commit for nearly every stage.)"

(eval-when-compile
  (require nanogpt-hy.notation [deflayer]))
(import  dataclasses [dataclass field]
         math [sqrt]
         torch
         torch.nn :as nn
         nanogpt-hy.config [nearest]
         nanogpt-hy.course [attend Bigram causal FeedForward GPT Head Heads LanguageModel
                            MultiHeadAttention normal-init PreNorm Residual stack]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.fast [FastGPT])

(defclass [(dataclass :frozen True)] Stage []
  "A rung of the ladder. INIT says where the first weights come from: torch's own draws, the
  course's normal-init, or the model's own way. It is LAYERED if it has n-layer blocks, and DROPS
  if it has dropout. LECTURE holds what its published run did differently from the preset of that
  name."
  #^ str adds
  #^ object make
  (setv #^ str init      "torch"
        #^ bool layered  False
        #^ bool drops    False
        #^ dict lecture  (field :default-factory dict)))

(defn between [make-body]
  "A function from a config to a model: the body, between embedding and lm-head."
  (fn [c] (LanguageModel c make-body)))

;;; What the bodies are made of

(deflayer Average []
  "(B T C) -> (B T C): the past in equal parts: attention in which every score is 0."
  []
  (forward [self x]
    (setv silence (torch.zeros-like x))
    (attend silence silence x :mask (causal (get x.shape 1) :device x.device))))

(defn heads [c]
  "Several heads, their findings side by side and not mixed again."
  (Heads c.n-embd c.n-head))

(defn think [c]
  "The first form of feed-forward: not yet wider, and without a second layer."
  (nn.Sequential (nn.Linear c.n-embd c.n-embd) (nn.ReLU)))

(defn attention [c * [dropout 0.0]]
  "Several heads and a projection."
  (MultiHeadAttention c.n-embd c.n-head :dropout dropout))

(defn feed-forward [c * [dropout 0.0]]
  "The wider form, with its second layer."
  (FeedForward c.n-embd :dropout dropout))

(defn norm [c layer]
  "LAYER after a layer norm."
  (PreNorm c.n-embd layer))

;;; The table

(setv FIRST  (dict :learning-rate 1e-2 :max-iters 3000 :eval-interval 300)
      SCALED (dict :block-size 256 :n-layer 6 :n-head 6 :n-embd 384 :dropout 0.2
                   :batch-size 64 :learning-rate 3e-4))

(setv STAGES
  {"bigram" (Stage "a table: the row of a token says what follows it"
     (fn [c] (Bigram c.vocab-size))
     :lecture FIRST)

   "embedding" (Stage "n-embd channels between token and logits"
     (fn [c] (nn.Sequential (nn.Embedding c.vocab-size c.n-embd)
                            (nn.Linear c.n-embd c.vocab-size)))
     :lecture FIRST)

   "position" (Stage "a vector for each place"
     (between (fn [c] (nn.Identity)))
     :lecture FIRST)

   "average" (Stage "the past, mixed in equal parts"
     (between (fn [c] (Average))))

   "head" (Stage "the past, mixed by how well keys match queries"
     (between (fn [c] (Head c.n-embd c.n-embd))))

   "multi-head" (Stage "n-head smaller heads side by side"
     (between (fn [c] (heads c))))

   "feed-forward" (Stage "a layer for each token by itself"
     (between (fn [c] (nn.Sequential (heads c) (think c)))))

   "blocks" (Stage "n-layer of these, one upon the other"
     (between (fn [c] (stack c.n-layer (fn [] (nn.Sequential (heads c) (think c))))))
     :layered True)

   "residual" (Stage "layers that add to x, a projection, a wider feed-forward"
     (between (fn [c] (stack c.n-layer (fn [] (nn.Sequential
                        (Residual (attention c))
                        (Residual (feed-forward c)))))))
     :layered True)

   "layer-norm" (Stage "a layer norm before each layer and at the end"
     (between (fn [c] (nn.Sequential
                (stack c.n-layer (fn [] (nn.Sequential
                  (Residual (norm c (attention c)))
                  (Residual (norm c (feed-forward c))))))
                (nn.LayerNorm c.n-embd))))
     :layered True)

   "dropout" (Stage "numbers left out by chance while training"
     (between (fn [c] (nn.Sequential
                (stack c.n-layer (fn [] (nn.Sequential
                  (Residual (norm c (attention c :dropout c.dropout)))
                  (Residual (norm c (feed-forward c :dropout c.dropout))))))
                (nn.LayerNorm c.n-embd))))
     :layered True  :drops True
     :lecture SCALED)

   "gpt" (Stage "the course's GPT: nothing new but its first weights, N(0, 0.02)"
     GPT
     :init "normal"  :layered True  :drops True)

   "fast" (Stage "nanoGPT's form: fused heads, GELU, tied lm-head, its own first weights"
     FastGPT
     :init "own"  :layered True  :drops True)})

;;; Building one

(defn slip [query inputs output]
  "(B T D) -> (B T D): a head's query made smaller, so that its scores, which are divided by
  sqrt(D) later, come out divided by sqrt(C)."
  (* output (sqrt (/ query.out-features query.in-features))))

(defn let-slip [model]
  "Make each Head of MODEL divide by sqrt(n-embd), as the lecture's did until its slip was mended:
  the same weights by the same names, with softer attention."
  (for [head (.modules model)  :if (isinstance head Head)]
    (.register-forward-hook head.query slip)))

(defn find-stage [name]
  "The Stage of that NAME; RequestError if there is none."
  (when (not-in name STAGES)
    (raise (RequestError f"there is no stage {name}: {(nearest name STAGES)}")))
  (get STAGES name))

(defn parameters-count [model * [positions True]]
  "How many numbers MODEL learns; tied ones count once. nanoGPT quotes it without the table of
  positions."
  (sum (gfor  [name weight] (.named-parameters model)
              :if (or positions (not (.endswith name #("wpe.weight" "position.weight"))))
              (.numel weight))))

(defn build-model [name c * [init "auto"]]
  "The model of stage NAME for config C, its weights drawn from torch's default generator: by
  torch's own rules when INIT is \"torch\", from N(0, 0.02) when it is \"normal\", and in the
  stage's way when it is \"auto\". A stage whose own way is a form of N(0, 0.02) keeps it, and
  \"torch\" is a RequestError there, as is a NAME of no stage."
  (setv stage (find-stage name))
  (when (and (= stage.init "own") (= init "torch"))
    (raise (RequestError (+ f"stage {name} has its own first weights, so --init torch cannot be: "
                            "use --init auto, or --stage gpt"))))
  (setv model (stage.make c))
  (when (and (!= stage.init "own")
             (= "normal" (if (= init "auto") stage.init init)))
    (.apply model normal-init))
  (when (= c.scale "n-embd")
    (let-slip model))
  model)
