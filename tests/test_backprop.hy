"backprop.hy: the written-out gradient is what `backward` finds for fast.hy, dropout included."

(import  copy [deepcopy]
         dataclasses [replace]
         hypothesis [given settings strategies :as st]
         pytest
         torch
         torch.nn :as nn
         torch.nn.functional :as F
         torch.testing [assert-close]
         nanogpt-hy.backprop :as backprop
         nanogpt-hy.backprop [add-gradient dropout]
         nanogpt-hy.config [GPTConfig]
         nanogpt-hy.course [add-gradient :as course-add-gradient]
         nanogpt-hy.fast [FastGPT])

(setv SMALL (GPTConfig :vocab-size 11 :block-size 6 :n-layer 2 :n-head 2 :n-embd 8))

(defn shaken [c]
  "A FastGPT of config C with all weights from N(0, 0.3), so that each one matters."
  (torch.manual-seed 3)
  (setv model (FastGPT c))
  (for [weight (.parameters model)]
    (nn.init.normal_ weight :std 0.3)
    (setv weight.grad (torch.zeros-like weight)))
  model)

(defn batch [c B T]
  [(torch.randint c.vocab-size #(B T)) (torch.randint c.vocab-size #(B T))])

(defn check-against-autograd [c B T share]
  (setv model (shaken c)
        other (deepcopy model)
        [x y] (batch c B T)
        loss  (add-gradient model x y share)
        wanted (course-add-gradient other x y share))
  (assert-close loss wanted)
  (for [[[name weight] twin] (zip (.named-parameters model) (.parameters other))]
    (assert-close weight.grad twin.grad :rtol 1e-4 :atol 1e-6
                  :msg (fn [text] f"{name}: {text}"))))

(defn [(pytest.mark.parametrize "activation" ["gelu" "gelu-tanh" "relu"])
       (pytest.mark.parametrize "bias" [True False])
       (pytest.mark.parametrize "tied" [True False])
       (pytest.mark.parametrize "scale" ["head-size" "n-embd"])]
    test-loss-and-gradients-are-autograds [activation bias tied scale]
  (check-against-autograd
    (replace SMALL :activation activation :bias bias :tied tied :scale scale) 3 6 1.0))

(defn [(settings :max-examples 15 :deadline None)
       (given :B (st.integers 1 4) :T (st.integers 1 6) :n-layer (st.integers 1 3)
              :n-head (st.sampled-from [1 2 4]) :share (st.floats 0.1 2))]
    test-whatever-the-sizes [B T n-layer n-head share]
  (check-against-autograd (replace SMALL :n-layer n-layer :n-head n-head) B T share))

(defn [(pytest.mark.parametrize "activation" ["gelu" "relu"])
       (pytest.mark.parametrize "bias" [True False])
       (pytest.mark.parametrize "queries" [2 64])]
    test-in-bfloat16-it-is-as-close-as-autocast [activation bias queries monkeypatch]
  "Both round what they multiply; the weights and their gradients stay float32."
  (.setattr monkeypatch backprop "QUERIES" queries)
  (setv c     (replace SMALL :activation activation :bias bias)
        [exact ours autocast] (lfor  _ (range 3)  (shaken c))
        [x y] (batch c 8 6)
        loss  (add-gradient exact x y 0.5)
        ours-loss (add-gradient ours x y 0.5 :dtype torch.bfloat16))
  (with [_ (torch.autocast "cpu" :dtype torch.bfloat16)]
    (course-add-gradient autocast x y 0.5))
  (defn gradient [model]
    (torch.cat (lfor  w (.parameters model)  (.flatten w.grad))))
  (defn error [model]
    (float (/ (.norm (- (gradient model) (gradient exact))) (.norm (gradient exact)))))
  (assert (is ours-loss.dtype torch.float32))
  (assert-close ours-loss loss :rtol 0.02 :atol 0)
  (assert (< 1e-4 (error ours) 0.03))
  (assert (< (error ours) (* 2 (error autocast)))))

(defn test-in-bfloat16-dropout-is-to-scale []
  "1/0.9 has no bfloat16: what is kept is enlarged exactly all the same."
  (setv x (torch.full #(1000) 1.0 :dtype torch.bfloat16)
        [y back] (dropout 0.1 (.manual-seed (torch.Generator) 1) x)
        kept (get y (> y 0)))
  (assert-close kept (torch.full-like kept (/ 65536 (- 65536 6554))))
  (assert (torch.equal y (back (torch.ones 1000)))))

(defn [(pytest.mark.parametrize "queries" [1 2 4 5 6])]
    test-in-however-many-parts-attention-is-done [queries monkeypatch]
  (.setattr monkeypatch backprop "QUERIES" queries)
  (check-against-autograd SMALL 3 6 1.0))

(defn test-attention-in-parts-does-not-compute-what-is-masked [monkeypatch]
  "Queries by twos of six: 2 x 2, 2 x 4 and 2 x 6 weights, where the square has 6 x 6."
  (setv shapes []  softmax backprop.softmax)
  (defn watched [scores]
    (.append shapes (tuple (cut scores.shape 1 None)))
    (softmax scores))
  (.setattr monkeypatch backprop "QUERIES" 2)
  (.setattr monkeypatch backprop "softmax" watched)
  (check-against-autograd (replace SMALL :n-layer 1) 3 6 1.0)
  (assert (= shapes [#(2 2) #(2 4) #(2 6)])))

(defn test-a-relu-is-flat-at-zero []
  (setv c     (replace SMALL :activation "relu")
        model (shaken c)
        [x y] (batch c 3 6))
  (for [layer model.transformer.h  weight (.parameters layer.mlp.c-fc)]
    (.zero- weight.data))
  (setv other (deepcopy model))
  (add-gradient model x y 1.0)
  (course-add-gradient other x y 1.0)
  (for [[weight twin] (zip (.parameters model) (.parameters other))]
    (assert-close weight.grad twin.grad :rtol 1e-4 :atol 1e-6)))

(defn test-large-scores-are-no-overflow []
  (setv scores (torch.tensor [[1000.0 999 -1000] [-1000 -1001 -3000]]))
  (assert-close (backprop.softmax scores) (F.softmax scores :dim -1)))

(defn test-nothing-is-recorded-for-autograd []
  (setv model (shaken SMALL)
        loss  (add-gradient model #* (batch SMALL 3 6) 1.0))
  (assert (not loss.requires-grad))
  (for [weight (.parameters model)]
    (assert (not weight.grad.requires-grad))))

(defn test-gradients-add-up []
  (torch.manual-seed 4)
  (setv model (shaken SMALL)
        other (deepcopy model)
        batches (lfor  _ (range 3)  (batch SMALL 2 6)))
  (for [[x y] batches]
    (add-gradient model x y 0.25)
    (course-add-gradient other x y 0.25))
  (for [[weight twin] (zip (.parameters model) (.parameters other))]
    (assert-close weight.grad twin.grad :rtol 1e-4 :atol 1e-6)))

;;; Dropout

(defn seeded [seed]
  (.manual-seed (torch.Generator) seed))

(defn test-dropout-is-at-fasts-four-places [monkeypatch]
  (setv places []
        c      (replace SMALL :n-layer 1 :dropout 0.25))
  (defn watched [p chance x]
    (.append places #(p (tuple x.shape)))
    (dropout p chance x))
  (.setattr monkeypatch backprop "dropout" watched)
  (add-gradient (shaken c) #* (batch c 3 6) 1.0 :chance (seeded 1))
  (assert (= places [#(0.25 #(3 6 8)) #(0.25 #(6 6 6)) #(0.25 #(3 6 8)) #(0.25 #(3 6 8))])))

(defn [(pytest.mark.parametrize "p" [0.1 0.2 0.5 0.9])]
    test-dropout-keeps-the-mean-and-the-chance [p]
  (setv x (torch.ones 1000 1001)
        [y back] (dropout p (seeded 1) x)
        gone (.item (.mean (.float (= y 0)))))
  (assert (= gone (pytest.approx p :abs 0.002)))
  (assert (= (.item (.mean y)) (pytest.approx 1 :abs 0.01)))
  (assert (= (.item (.amax y)) (pytest.approx (/ 1 (- 1 p)) :rel 1e-3)))
  (assert (torch.equal (back x) y)))               ; what was left out brings no gradient

(defn test-nearly-everything-can-be-dropped []
  (setv [y _] (dropout 0.9999999 (seeded 1) (torch.ones 100)))
  (assert (torch.equal y (torch.zeros 100))))

(defn [(pytest.mark.parametrize "size" [1 5 6 7])] test-any-size-can-drop-out [size]
  (setv [y back] (dropout 0.5 (seeded 1) (torch.ones 1 size)))
  (assert (= (tuple y.shape) #(1 size)))
  (assert (<= (set (get (.tolist y) 0)) #{0.0 2.0})))

(defn test-the-chance-is-met-to-1-in-65536 []
  "Of four million numbers about 64 are dropped."
  (setv [y _] (dropout (/ 1 65536) (seeded 1) (torch.ones (** 2 22))))
  (assert (< 32 (int (.sum (= y 0))) 96)))

(defn test-what-is-kept-makes-up-for-the-chance-as-met []
  "0.9999 is met by 65,529 in 65,536."
  (setv [y _] (dropout 0.9999 (seeded 1) (torch.ones (** 2 20))))
  (assert-close (.amax y) (torch.tensor (/ 65536 7))))

(defn test-masks-of-neighbours-are-independent []
  "Four masks come from one random number: none of them says anything of another."
  (setv gone (= 0 (get (dropout 0.5 (seeded 2) (torch.ones 400,000)) 0))
        quarters (.float (.view gone -1 4)))
  (assert-close (torch.corrcoef (.t quarters)) (torch.eye 4) :atol 0.02 :rtol 0)
  (assert-close (.mean quarters 0) (torch.full #(4) 0.5) :atol 0.01 :rtol 0))

(defn [(pytest.mark.parametrize "queries" [4 64])]
    test-the-gradient-with-dropout-is-that-of-the-same-masks [queries monkeypatch]
  "By differences: a step in a random direction changes the loss as the gradient says, when the same
  seed draws the same masks."
  (.setattr monkeypatch backprop "QUERIES" queries)
  (setv c (replace SMALL :dropout 0.3)
        model (shaken c)
        [x y] (batch c 4 6))
  (.double model)
  (for [weight (.parameters model)]
    (setv weight.grad (torch.zeros-like weight)))
  (defn loss-now []
    (.item (add-gradient model x y 1.0 :chance (seeded 5))))
  (loss-now)
  (setv directions (lfor  w (.parameters model)  (torch.randn-like w))
        slope (sum (lfor  [w d] (zip (.parameters model) directions)  (.item (.sum (* w.grad d)))))
        losses [])
  (for [size [1e-5 -2e-5]]
    (for [[w d] (zip (.parameters model) directions)]
      (.add_ w.data d :alpha size))
    (.append losses (loss-now)))
  (assert (= slope (pytest.approx (/ (- (get losses 0) (get losses 1)) 2e-5) :rel 1e-3))))

(defn test-the-same-seed-drops-the-same []
  (setv model (shaken (replace SMALL :dropout 0.5))
        [x y] (batch SMALL 4 6)
        losses (lfor  seed [1 1 2]  (.item (add-gradient model x y 1.0 :chance (seeded seed)))))
  (assert (= (get losses 0) (get losses 1)))
  (assert (!= (get losses 0) (get losses 2))))
