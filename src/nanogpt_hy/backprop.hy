"Backpropagation, written out for fast's GPT: what `backward` would find, in far fewer steps.

Each function computes what its layer in fast.hy computes and returns that and the way back: a
function from dy, the gradient of the loss by the result, to dx, its gradient by the input. On its
way it adds the gradients by the layer's weights to their .grad, which must be there. The ways back
are composed as the layers are, in the opposite order, and nothing is recorded in between. (The
field calls such a function a pullback. For functional languages: Pearlmutter and Siskind, Reverse-
mode AD in a functional framework: Lambda the ultimate backpropagator, TOPLAS 30, 2008.)

`add-gradient` is the course's, for a FastGPT in training. The tests hold that loss and gradients
are those of fast.hy. It is also one region without a gap for torch.compile, from the ids to the
gradients. Where a step computes in bfloat16, as autocast would, the products of the linear layers
do, and what lies between two of them; attention, norms, the sum that each block adds to, and all
that is added up in the end stay float32."

(eval-when-compile
  (require hyrule [-> ncut]))
(import  functools [cache partial]
         math [inf sqrt]
         torch
         torch.nn.functional :as F
         nanogpt-hy.fast [ACTIVATIONS]
         nanogpt-hy.products [add-product product])

(setv aten   torch.ops.aten            ; torch's own derivatives of single steps
      SLOPES {(get ACTIVATIONS "gelu")      aten.gelu-backward
              (get ACTIVATIONS "gelu-tanh") (partial aten.gelu-backward :approximate "tanh")
              (get ACTIVATIONS "relu")      (fn [dy x] (* dy (> x 0)))})

;;; The small layers

(defn linear [layer x]
  "(B T I) -> (B T O), in the dtype of X."
  (setv weight (.to layer.weight x.dtype)
        biased (is-not layer.bias None)
        bias   (when biased (.to layer.bias x.dtype)))
  (defn back [dy]
    (setv dy   (.to dy x.dtype)
          rows (.flatten dy 0 1))                                      ; (B*T O)
    (add-product layer.weight.grad (.t rows) (.t (.flatten x 0 1)))    ; (O I)
    (when biased
      (.add_ layer.bias.grad (.sum rows 0)))
    (product dy (.t weight)))                                          ; (B T I)
  [(product x weight bias) back])

(defn norm [layer x dtype]
  "(B T C) -> (B T C), computed in the dtype of X and given in DTYPE."
  (setv [shape weight bias] [layer.normalized-shape layer.weight layer.bias]
        [y mean rstd] (torch.native-layer-norm x shape weight bias layer.eps)
        biased (is-not bias None))
  (defn back [dy]
    (setv dy (.to dy x.dtype)
          [dx dweight dbias]
            (if (torch.jit.is-tracing)
              (.norm-back (recordable) dy x shape mean rstd weight)
              (aten.native-layer-norm-backward dy x shape mean rstd weight bias
                                               [True True biased])))
    (.add_ weight.grad dweight)
    (when biased
      (.add_ bias.grad dbias))
    dx)
  [(.to y dtype) back])

(defn [cache] recordable []
  "torch.jit.trace takes no list of booleans from Python, but a function of TorchScript that has one
  in it. (The derivatives do not depend on a bias; only its size is looked at.)"
  (torch.jit.CompilationUnit "
def norm_back(dy: Tensor, x: Tensor, shape: List[int], mean: Tensor, rstd: Tensor, weight: Tensor):
    return torch.ops.aten.native_layer_norm_backward(
        dy, x, shape, mean, rstd, weight, weight, [True, True, True])
"))

(defn bend [activation x]
  "(B T 4C) -> (B T 4C): ACTIVATION is one of fast's."
  [(activation x) (fn [dy] ((get SLOPES activation) dy x))])

(defn dropout [p chance x]
  "(...) -> (...): each number is zeroed with probability P, the others are enlarged to make up.

  16 random bits decide, a quarter of what the generator CHANCE gives in one go, so P is met to
  1/65536. That is about nine times as quick as torch's own draws of one number each."
  (when (= p 0)
    (return [x (fn [dy] dy)]))
  (setv n       (.numel x)
        bits    (.random_ (torch.empty (// (+ n 3) 4) :dtype torch.int64) (- (** 2 63)) None
                          :generator chance)
        dropped (min (round (* 65536 p)) 65535)                        ; of 65536 draws
        dtype   (torch.promote-types x.dtype torch.float32)            ; bfloat16 has no 1/0.9
        kept    (torch.ge (cut (.view bits torch.int16) n) (- dropped 32768)
                          :out (torch.empty n :dtype dtype))           ; 1 or 0
        mask    (.mul_ (.view-as kept x) (/ 65536 (- 65536 dropped))))
  [(* x mask) (fn [dy] (* dy mask))])

;;; Attention

(setv QUERIES 64)      ; at a time

(defn softmax [scores]
  "(... T) -> (... T). For short rows in five steps: torch's own takes 0.15 us for each, however
  short it is."
  (if (> (get scores.shape -1) 8)
    (F.softmax scores :dim -1)
    (do (setv parts (.exp- (- scores (.amax scores -1 :keepdim True))))
        (/ parts (.sum parts -1 :keepdim True)))))

(defn attend [q k v d future * scale p chance]
  "(B*H t D) (B*H S D) (B*H S D) -> (B*H t D): the last t of S tokens look at all S. FUTURE (t S) is
  -inf where nobody may look, else 0. The way back adds the gradients by q, k and v to the three
  tensors in d, which have their shapes, and gives None."
  (setv weights (softmax (torch.baddbmm future q k.mT :alpha scale))    ; (B*H t S)
        [used back-dropout] (dropout p chance weights)
        y (torch.bmm used v))
  (defn back [dy]
    (setv [dq dk dv] d
          dweights (back-dropout (torch.bmm dy v.mT))
          ;; A row sums to 1, so each weight's gradient counts by its distance from their mean.
          dscores (* (- dweights (.sum (* dy y) -1 :keepdim True)) weights))
    (.baddbmm_ dq dscores k :alpha scale)
    (.baddbmm_ dk dscores.mT q :alpha scale)
    (.baddbmm_ dv used.mT dy))
  [y back])

(defn attend-in-parts [q k v future #** how]
  "(B*H T D) (B*H T D) (B*H T D) -> (B*H T D): QUERIES of them at a time look at the keys up to
  their own; HOW is what `attend` takes. What lies further above the diagonal is never computed. The
  way back gives the three gradients one upon the other, (3 B*H T D)."
  (setv T (get q.shape 1)
        d (.new-zeros q [3 #* q.shape])
        [dq dk dv] d)
  (when (<= T QUERIES)                   ; one part: to cut it out and glue it takes time, too
    (setv [y back] (attend q k v d future #** how))
    (return [y (fn [dy] (back dy) d)]))
  (defn part [start]
    (setv stop (min T (+ start QUERIES)))
    (defn own [x]
      (ncut x : (: start stop)))
    (defn seen [x]
      (ncut x : (: stop)))
    (attend (own q) (seen k) (seen v) [(own dq) (seen dk) (seen dv)]
            (ncut future (: start stop) (: stop)) #** how))
  (setv [ys backs] (zip #* (map part (range 0 T QUERIES))))
  (defn back [dy]
    (for [[back dy] (zip backs (.split dy QUERIES 1))]
      (back dy))
    d)
  [(torch.cat ys 1) back])

(defn in-order [x dtype]
  "X in DTYPE, its numbers in the order of their indices; copied at most once."
  (.contiguous (.to x dtype :memory-format torch.contiguous-format)))

(defn attention [layer x future chance]
  "(B T C) -> (B T C): all heads of causal self-attention, projected. FUTURE is in the dtype in
  which the heads compute."
  (setv [B T C] x.shape
        H layer.n-head
        p layer.dropout
        dtype future.dtype
        scale (or layer.scale (/ 1 (sqrt (/ C H))))
        [qkv back-qkv] (linear layer.c-attn x)                         ; (B T 3C)
        heads (-> qkv
                  (.unflatten -1 #(3 H -1))                            ; (B T 3 H D)
                  (.permute 2 0 3 1 4)                                 ; (3 B H T D)
                  (in-order dtype)
                  (.flatten 1 2))                                      ; (3 B*H T D)
        [mixed back-attend] (attend-in-parts #* (.unbind heads 0) future
                                             :scale scale :p p :chance chance)
        [y back-project] (linear layer.c-proj (side-by-side mixed B x.dtype))
        [y back-dropout] (dropout p chance y))
  (defn back [dy]
    (-> dy
        back-dropout
        back-project
        (.unflatten -1 #(H -1))                                        ; (B T H D)
        (.transpose 1 2)                                               ; (B H T D)
        (in-order dtype)
        (.flatten 0 1)                                                 ; (B*H T D)
        back-attend
        (.view 3 B H T -1)
        (.permute 1 3 0 2 4)                                           ; (B T 3 H D)
        (in-order x.dtype)
        (.flatten 2)                                                   ; (B T 3C)
        back-qkv))
  [y back])

(defn side-by-side [mixed B dtype]
  "(B*H T D) -> (B T C), in DTYPE: what each head found, one after the other along the channels."
  (-> mixed
      (.unflatten 0 #(B -1))      ; (B H T D)
      (.transpose 1 2)            ; (B T H D)
      (in-order dtype)
      (.flatten 2)))

;;; The rest of the model

(defn mlp [layer x chance]
  "(B T C) -> (B T C)"
  (setv [y back-widen] (linear layer.c-fc x)
        [y back-bend] (bend layer.activation y)
        [y back-narrow] (linear layer.c-proj y)
        [y back-dropout] (dropout layer.drop.p chance y))
  [y (fn [dy] (-> dy back-dropout back-narrow back-bend back-widen))])

(defn block [layer x future chance dtype]
  "(B T C) -> (B T C)"
  (setv [y back-norm] (norm layer.ln-1 x dtype)
        [y back-talk] (attention layer.attn y future chance)
        x (+ x y)
        [y back-norm-2] (norm layer.ln-2 x dtype)
        [y back-think] (mlp layer.mlp y chance))
  (defn back [dy]
    (setv dx (+ dy (-> dy back-think back-norm-2)))
    (+ dx (-> dx back-talk back-norm)))
  [(+ x y) back])

(defn embed [transformer ids chance]
  "(B T) -> (B T C), and a way back that ends here."
  (setv T (get ids.shape 1)
        [wte wpe] [transformer.wte.weight transformer.wpe.weight]
        x (+ (F.embedding ids wte) (cut wpe T))
        [x back-dropout] (dropout transformer.drop.p chance x))
  (defn back [dy]
    (setv dx (back-dropout dy))
    (.index-add_ wte.grad 0 (.flatten ids) (.flatten dx 0 1))
    (.add_ (cut wpe.grad T) (.sum dx 0))
    None)
  [x back])

(defn surprise [logits targets share]
  "(B T V) (B T) -> (): SHARE of the cross-entropy, in nats per token. The way back begins here, so
  it takes nothing; it gives the gradient by the logits."
  (setv logs (F.log-softmax (.flatten logits 0 1) :dim -1)             ; (B*T V)
        places (.view targets -1 1)                                    ; (B*T 1)
        part (/ share (int (.numel targets))))         ; to torch.jit.trace a size is a tensor
  (defn back []
    (-> (.exp logs)
        (.scatter-add_ 1 places (.new-full logs places.shape -1.0))
        (.mul_ part)
        (.view-as logits)))
  [(* (- part) (.sum (.gather logs 1 places))) back])

(defn [(torch.no-grad)] add-gradient [model x y share * [chance None] [dtype None]]
  "(B T) (B T) -> (): add SHARE of the batch's gradient to the weights'; that share of its loss.
  CHANCE is the generator that dropout draws from, torch's own where it is None. DTYPE, that of
  the weights or bfloat16, is what products of layers are computed in; None: that of the weights."
  (setv T (get x.shape 1)
        future (.triu (.new-full model.lm-head.weight [T T] (- inf)) 1)
        dtype (or dtype future.dtype)
        backs [])
  (defn then [layer #* others]
    (setv [out back] (layer #* others))
    (.append backs back)
    out)
  (setv h (then embed model.transformer x chance))
  (for [layer model.transformer.h]
    (setv h (then block layer h future chance dtype)))
  (setv h (then norm model.transformer.ln-f h dtype)
        logits (then linear model.lm-head h)
        [loss back-loss] (surprise (.to logits future.dtype) y share)
        d (back-loss))
  (for [back (reversed backs)]
    (setv d (back d)))
  loss)
