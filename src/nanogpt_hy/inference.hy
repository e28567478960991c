"The GPT as functions that say what follows, and learn nothing.

One token goes through products that have a single row: what takes the time is to read the weights,
and to find the way through the layers. So every layer is here a function with all at hand that it
needs, made once for many tokens, and all threads read weights at the same time. Nothing drops out.
The tests hold that it is fast.hy's model."

(eval-when-compile
  (require hyrule [-> ncut unless]))
(import  itertools [repeat]
         torch
         torch.nn.functional :as F
         nanogpt-hy.products [by-onednn onednn packed])

(setv SEVERAL  4             ; rows: with fewer, reading the weights is all that takes time
      FEW-ROWS (/ 1 12))     ; of the inputs: with more, reading the weights is no longer the most

;;; The layers

(defn product-in-parts [x weights biases]
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

(defn linear [layer [packs False]]
  "nn.Linear -> function, (B t I) -> (B t O). If it PACKS weights, which takes as much memory again,
  products of several rows are quicker, where oneDNN computes them."
  (setv [weight bias] (map fixed [layer.weight layer.bias]))
  (if (is-divided weight)
    (divided-linear weight bias (when packs (packed weight)))
    (holding (fn [x] (F.linear x weight bias)) weight bias)))

(defn divided-linear [weight bias ordered]
  "(O I) (O) -> function, (B t I) -> (B t O). ORDERED is None, or WEIGHT packed.

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
        several (cond
                  (!= P threads)    1            ; a row that cannot be divided is for oneDNN, too
                  (is ordered None) SEVERAL
                  True              2)
        own     (if (is ordered None) weight ordered))
  (defn through [x]
    (setv [B t _] x.shape
          n (* B t))
    (cond
      (and (>= n several) (by-onednn x own))
                    (onednn x own bias)
      (= n 1)       (-> (.expand x P 1 I)
                        (product-in-parts parts biases)              ; (P 1 O/P)
                        (.view 1 1 O))
      (<= n few)    (-> (.reshape x 1 n I)
                        (.expand P n I)
                        (product-in-parts parts biases)              ; (P n O/P)
                        (.transpose 0 1)
                        (.reshape B t O))
      (% n threads) (-> (.reshape x 1 n I)
                        (F.pad [0 0 0 (% (- n) threads)])            ; as many rows for each thread
                        through
                        (ncut : (: n))
                        (.reshape B t O))
      True          (-> (.reshape x threads -1 I)
                        (product-in-parts shared bias)               ; (threads n/threads O)
                        (.view B t O))))
  (holding through weight bias parts biases shared ordered))

(defn norm [layer]
  "nn.LayerNorm -> function, (B t C) -> (B t C)"
  (setv [weight bias] (map fixed [layer.weight layer.bias])
        [shape eps]   [layer.normalized-shape layer.eps])
  (holding (fn [x] (torch.layer-norm x shape weight bias eps)) weight bias))

(defn attention [layer packs]
  "Attention -> function, (B t C) -> (B t C), or of the last token ALONE (B 1 C), for t tokens that
  follow KNOWN others, whose keys and values are in KEPT (2 B H T D). Theirs are put there, unless
  it is None. Either KNOWN is 0 or t is 1: one token looks at all there are, so only the first case
  is masked."
  (setv [c-attn c-proj] (lfor  part [layer.c-attn layer.c-proj]  (linear part packs))
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

(defn mlp [layer packs]
  "MLP -> function, (B t C) -> (B t C)"
  (setv [c-fc c-proj] (lfor  part [layer.c-fc layer.c-proj]  (linear part packs))
        activation    layer.activation)
  (holding (fn [x] (-> x c-fc activation c-proj)) c-fc c-proj))

(defn block [layer [packs False]]
  "FastBlock -> function, (B t C) -> (B t C) or (B 1 C), with what else `attention` takes"
  (setv [ln-1 ln-2] (map norm [layer.ln-1 layer.ln-2])
        talk  (attention layer.attn packs)
        think (mlp layer.mlp packs))
  (defn through [x kept known alone]
    (setv said (talk (ln-1 x) kept known alone)
          x    (+ (if alone (ncut x : -1:) x) said))
    (+ x (think (ln-2 x))))
  (holding through ln-1 talk ln-2 think))

;;; The model

(defn reader [model packs]
  "FastGPT -> function, (B t) -> (B V): the logits after t tokens that follow KNOWN others, whose
  keys and values are in MEMORY, one tensor a block (see `attention`), or None. PACKS: see `linear`.

  Nobody asks what the last block makes of earlier tokens, so it works for the last one alone."
  (setv transformer model.transformer
        [wte wpe]   (map fixed [transformer.wte.weight transformer.wpe.weight])
        blocks      (lfor  layer transformer.h  (block layer packs))
        last        (get blocks -1)
        [ln-f lm-head] [(norm transformer.ln-f) (linear model.lm-head packs)])
  (defn read [ids memory known]
    (setv t (get ids.shape 1)
          x (+ (F.embedding ids wte) (.narrow wpe 0 known t)))                   ; (B t C)
    (for [[through kept] (zip blocks (or memory (repeat None)))]
      (setv x (through x kept known (is through last))))
    (ncut (lm-head (ln-f x)) : 0))                                               ; x is (B 1 C)
  (holding read wte wpe #* blocks ln-f lm-head))
