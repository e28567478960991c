"The same GPT for speed, with nanoGPT's parameters.

What the course writes out head by head is here one matrix and one call for the whole batch. The
parts bear the names of nanoGPT's checkpoints (transformer.h.0.attn.c_attn.weight), are made in
its order and draw their first weights in its order: from one seed come the same weights
(https://github.com/karpathy/nanoGPT, model.py). `from-course` carries a GPT of the course over;
the tests hold that both then give the same logits, loss and gradients."

(eval-when-compile
  (require hyrule [->]
           nanogpt-hy.notation [deflayer]))
(import  dataclasses [replace]
         math [sqrt]
         torch
         torch.nn :as nn
         torch.nn.functional :as F
         nanogpt-hy.course [normal-init])

(defn gelu-tanh [x]
  "(...) -> (...): GPT-2's own GELU, its curve approximated by a tanh."
  (F.gelu x :approximate "tanh"))

(setv ACTIVATIONS {"gelu"      F.gelu
                   "gelu-tanh" gelu-tanh
                   "relu"      F.relu})

(deflayer Attention [c]
  "(B T C) -> (B T C): all heads of causal self-attention at once, projected."
  [c-attn  (nn.Linear c.n-embd (* 3 c.n-embd) :bias c.bias)     ; queries, keys, values: one matrix
   c-proj  (nn.Linear c.n-embd c.n-embd :bias c.bias)
   drop    (nn.Dropout c.dropout)
   dropout c.dropout
   n-head  c.n-head
   scale   (if (= c.scale "n-embd") (/ 1 (sqrt c.n-embd)) None)]     ; None: 1/sqrt(D)
  (split-heads [self x]
    "(B T C) -> (B H T D): each head's own D channels."
    (-> x (.unflatten -1 #(self.n-head -1)) (.transpose 1 2)))
  (forward [self x]
    (setv [q k v] (map self.split-heads (.chunk (self.c-attn x) 3 :dim -1))      ; (B H T D) each
          mixed   (F.scaled-dot-product-attention q k v :is-causal True :scale self.scale
                    :dropout-p (if self.training self.dropout 0.0)))             ; (B H T D)
    (-> mixed
        (.transpose 1 2)     ; (B T H D)
        (.flatten 2)         ; (B T C)
        self.c-proj
        self.drop)))

(deflayer MLP [c]
  "(B T C) -> (B T C): feed-forward, with the activation of the config."
  [c-fc       (nn.Linear c.n-embd (* 4 c.n-embd) :bias c.bias)
   activation (get ACTIVATIONS c.activation)
   c-proj     (nn.Linear (* 4 c.n-embd) c.n-embd :bias c.bias)
   drop       (nn.Dropout c.dropout)]
  (forward [self x]
    (-> x                  ; (B T C)
        self.c-fc          ; (B T 4C)
        self.activation
        self.c-proj        ; (B T C)
        self.drop)))

(deflayer FastBlock [c]
  "(B T C) -> (B T C): talk, then think; each normed first and added to x."
  [ln-1 (nn.LayerNorm c.n-embd :bias c.bias)
   attn (Attention c)
   ln-2 (nn.LayerNorm c.n-embd :bias c.bias)
   mlp  (MLP c)]
  (forward [self x]
    (setv x (+ x (self.attn (self.ln-1 x))))
    (+ x (self.mlp (self.ln-2 x)))))

(deflayer Transformer [c]
  "(B T) -> (B T C): a GPT without its lm-head."
  [wte  (nn.Embedding c.vocab-size c.n-embd)
   wpe  (nn.Embedding c.block-size c.n-embd)
   drop (nn.Dropout c.dropout)
   h    (nn.ModuleList (lfor  _ (range c.n-layer)  (FastBlock c)))
   ln-f (nn.LayerNorm c.n-embd :bias c.bias)]
  (forward [self ids]
    (setv places (torch.arange (get ids.shape 1) :device ids.device)             ; (T)
          x      (self.drop (+ (self.wte ids) (self.wpe places))))               ; (B T C)
    (for [block self.h]
      (setv x (block x)))
    (self.ln-f x)))

(defn scaled-init [model n-layer]
  "Draw the weights of MODEL anew as GPT-2 does: N(0, 0.02), and smaller for the 2 n-layer
  projections whose outputs add up in x, so that the sum's spread does not grow with the depth."
  (.apply model normal-init)
  (for [[name weight] (.named-parameters model)]
    (when (.endswith name "c_proj.weight")
      (nn.init.normal_ weight :std (/ 0.02 (sqrt (* 2 n-layer)))))))

(defclass FastGPT [nn.Module]
  "(B T) -> (B T V): the GPT of config C, not yet trained."
  (defn __init__ [self c]
    (.__init__ (super))
    (setv self.transformer (Transformer c)
          ;; Tied, lm-head is the token table read backwards, which has no place for a bias.
          self.lm-head (nn.Linear c.n-embd c.vocab-size :bias (and c.bias (not c.tied))))
    (when c.tied
      (setv self.transformer.wte.weight self.lm-head.weight))
    (scaled-init self c.n-layer))

  (defn forward [self ids]
    (self.lm-head (self.transformer ids))))

;;; From the course

(defn carry-block [tensors old new n-head]
  "One block of `carry`: those of TENSORS whose names begin with OLD, named NEW..."
  (defn part [theirs ours]
    (dfor  kind ["weight" "bias"]
           f"{new}.{ours}.{kind}" (.clone (get tensors f"{old}.{theirs}.{kind}"))))
  (setv attention f"{old}.talk.layer.layer"
        qkv (torch.cat (lfor  role ["query" "key" "value"]
                              head (range n-head)
                              (get tensors f"{attention}.heads.heads.{head}.{role}.weight"))))
  (| (part "talk.layer.norm" "ln_1")
     {f"{new}.attn.c_attn.weight" qkv                                            ; (3C C)
      f"{new}.attn.c_attn.bias"   (.new-zeros qkv (len qkv))}     ; the course's heads have none
     (part "talk.layer.layer.project" "attn.c_proj")
     (part "think.layer.norm" "ln_2")
     (part "think.layer.layer.widen" "mlp.c_fc")
     (part "think.layer.layer.narrow" "mlp.c_proj")))

(defn carry [tensors c]
  "The weights (or gradients) of a course GPT by name -> copies with FastGPT's names and shapes."
  (setv carried (dfor  [theirs ours] [["embed.token.weight"    "transformer.wte.weight"]
                                      ["embed.position.weight" "transformer.wpe.weight"]
                                      ["body.1.weight"         "transformer.ln_f.weight"]
                                      ["body.1.bias"           "transformer.ln_f.bias"]
                                      ["lm_head.weight"        "lm_head.weight"]
                                      ["lm_head.bias"          "lm_head.bias"]]
                       ours (.clone (get tensors theirs))))
  (for [i (range c.n-layer)]
    (.update carried (carry-block tensors f"body.0.{i}" f"transformer.h.{i}" c.n-head)))
  carried)

(defn from-course [gpt c]
  "The course's GPT of config C -> a FastGPT that computes the same. (While training with dropout
  they differ: nanoGPT also drops out embeddings.) Nothing is drawn."
  (setv c (replace c :activation "relu" :bias True :tied False))
  (with [_ (torch.device "meta")]
    (setv model (FastGPT c)))
  (.load-state-dict model (carry (.state-dict gpt) c) :assign True)
  (.train model gpt.training))
