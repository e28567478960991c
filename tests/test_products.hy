"products.hy: oneDNN's products are torch's, wherever they serve, and serve where they are quicker.

Here oneDNN computes every product, however small, whatever processor this is."

(eval-when-compile
  (require hyrule [ncut]))
(import  functools [partial]
         hypothesis [given settings strategies :as st]
         pytest
         recordings [recordable]
         torch
         torch.nn :as nn
         torch.nn.functional :as F
         torch.testing [assert-close]
         nanogpt-hy.backprop [add-gradient]
         nanogpt-hy.config [GPTConfig]
         nanogpt-hy.course [add-gradient :as course-add-gradient  next-logits]
         nanogpt-hy.fast [FastGPT]
         nanogpt-hy.inference :as inference
         nanogpt-hy.kv-cache [KVCache]
         nanogpt-hy.lab.training.compiling [Compiled lacking]
         nanogpt-hy.lab.training.evaluation [mean-loss]
         nanogpt-hy.lab.training.session [new-run]
         nanogpt-hy.lab.training.trainer [steps]
         nanogpt-hy.products :as products
         nanogpt-hy.products [add-product by-onednn mkl-alone mkl-is-narrow multiplies-bfloat16
                                 onednn packed product quick-products QuickProducts]
         nanogpt-hy.recording [Recorded])

(setv pytestmark (pytest.mark.skipif (not (hasattr torch.ops.mkldnn "_linear_pointwise"))
                                     :reason "this torch has no oneDNN")
      SMALL (GPTConfig :vocab-size 11 :block-size 6 :n-layer 2 :n-head 2 :n-embd 8))

(defn [(pytest.fixture :autouse True)] asked [monkeypatch]
  "oneDNN computes everything; of each product that it is asked for, the shape, in a list."
  (setv shapes []  theirs onednn)
  (defn watched [x weight bias]
    (.append shapes [(tuple x.shape) (tuple weight.shape)])
    (theirs x weight bias))
  (.setattr monkeypatch products "NARROW_MKL" True)
  (for [least ["LEAST" "LEAST_PACKED"]]
    (.setattr monkeypatch products least 0))
  (for [module [products inference]]
    (.setattr monkeypatch module "onednn" watched))
  shapes)

(defn gpt [[seed 1]]
  "A FastGPT in which each weight matters, with gradients to add to."
  (torch.manual-seed seed)
  (setv model (FastGPT SMALL))
  (for [w (.parameters model)]
    (nn.init.normal_ w :std 0.3)
    (setv w.grad (torch.zeros-like w)))
  model)

(defn ids [B T]
  (torch.randint 11 #(B T) :generator (.manual-seed (torch.Generator) 2)))

(defn lying [t across]
  "The same numbers, side by side in memory along the other axis if ACROSS."
  (if across (. (.contiguous t.mT) mT) t))

;;; Products

(defn [(settings :max-examples 40 :deadline None)
       (given :sizes (st.lists (st.integers 1 40) :min-size 3 :max-size 4)
              :bias (st.booleans) :across (st.tuples (st.booleans) (st.booleans)))]
    test-a-product-is-torchs [sizes bias across]
  (setv [#* rows inputs outputs] sizes
        x (lying (torch.randn #* rows inputs) (get across 0))
        w (lying (torch.randn outputs inputs) (get across 1))
        b (when bias (torch.randn outputs)))
  (assert-close (product x w b) (F.linear x w b) :rtol 1e-4 :atol 1e-5)
  (when (= 1 (len rows))
    (setv total    (torch.randn #* rows outputs)
          expected (+ total (F.linear x w)))
    (add-product total x w)
    (assert-close total expected :rtol 1e-4 :atol 1e-5)))

(defn [(settings :max-examples 40 :deadline None)
       (given :sizes (st.tuples #* (* [(st.integers 1 40)] 3))  :bias (st.booleans))]
    test-packed-weights-are-the-same [sizes bias]
  (setv [rows inputs outputs] sizes
        x (torch.randn rows inputs)
        w (torch.randn outputs inputs)
        b (when bias (torch.randn outputs)))
  (assert-close (onednn x (packed w) b) (F.linear x w b) :rtol 1e-4 :atol 1e-5))

(defn test-packed-weights-pay-sooner [monkeypatch]
  (setv x (torch.randn 3 8)  w (torch.randn 4 8))
  (for [[name least] [["LEAST" 97] ["LEAST_PACKED" 96]]]
    (.setattr monkeypatch products name least))
  (assert (= [True False] (lfor  weights [(packed w) w]  (by-onednn x weights))))
  (.setattr monkeypatch products "LEAST_PACKED" 97)
  (assert (not (by-onednn x (packed w))))
  (.setattr monkeypatch products "NARROW_MKL" False)
  (assert (is None (packed w))))

(defn test-onednn-computes-what-it-shall [asked]
  (setv x (torch.randn 3 5 8)  w (torch.randn 4 8))
  (product x w)
  (add-product (torch.zeros 3 4) (get x 0 [0 1 2]) w)
  (assert (= asked [[#(3 5 8) #(4 8)] [#(3 8) #(4 8)]])))

(defn test-other-numbers-are-left-to-torch [asked monkeypatch]
  (setv x (torch.randn 3 8)  w (torch.randn 4 8))
  (for [dtype [torch.float64 torch.bfloat16]]
    (assert (is dtype (. (product (.to x dtype) (.to w dtype)) dtype))))
  (with [_ (torch.autocast "cpu" :dtype torch.bfloat16)]
    (assert (is torch.bfloat16 (. (product x w) dtype))))
  (for [[name value] [["LEAST" 97] ["NARROW_MKL" False]]]
    (with [patch (.context monkeypatch)]
      (.setattr patch products name value)
      (product x w)))
  (assert (= asked []))
  (.setattr monkeypatch products "LEAST" 96)
  (product x w)
  (assert (= 1 (len asked))))

(defn test-mixed-precisions-are-refused-as-by-torch [asked]
  (for [dtype [torch.float64 torch.bfloat16]]
    (with [_ (pytest.raises RuntimeError :match "dtype")]
      (product (torch.randn 3 8 :dtype dtype) (torch.randn 4 8))))
  (assert (= asked [])))

(defn [(pytest.mark.parametrize #("has" "expected")
         [#({"avx512_vp2intersect" True   "cpu_name" "AMD EPYC"} True)
          #({"avx512_vp2intersect" False  "cpu_name" "AMD EPYC"} False)
          #({"avx512_vp2intersect" True   "cpu_name" "11th Gen Intel(R) Core(TM) i7"} False)
          #({"avx512_vp2intersect" True} False)
          #({"architecture" "aarch64"} False)])]
    test-which-processors [has expected monkeypatch]
  (.setattr monkeypatch torch.backends.mkl "is_available" (fn [] True))
  (.setattr monkeypatch torch.cpu "get_capabilities" (fn [] has))
  (assert (= expected (mkl-is-narrow))))

(defn [(pytest.mark.parametrize #("has" "expected")
         [#({"amx_bf16" True}  True)
          #({"amx_bf16" False  "avx512_bf16" True} False)
          #({"architecture" "aarch64"} False)])]
    test-which-processors-multiply-bfloat16 [has expected monkeypatch]
  (.setattr monkeypatch torch.cpu "get_capabilities" (fn [] has))
  (assert (= expected (multiplies-bfloat16)))
  (.setenv monkeypatch "ONEDNN_MAX_CPU_ISA" "AVX512_CORE_BF16")          ; who says so is obeyed
  (assert (not (multiplies-bfloat16)))
  (.setenv monkeypatch "ONEDNN_MAX_CPU_ISA" "AVX512_CORE_AMX")
  (assert (= expected (multiplies-bfloat16))))

(defn [(pytest.mark.parametrize #("library" "expected")
         [#("mkl" [False True])  #("mkldnn" [False False])])]
    test-a-torch-built-without-a-library [library expected monkeypatch]
  (setv has {"avx512_vp2intersect" True  "cpu_name" "AMD EPYC"  "amx_bf16" True})
  (.setattr monkeypatch torch.cpu "get_capabilities" (fn [] has))
  (for [[name there] [["mkl" (!= library "mkl")] ["mkldnn" (!= library "mkldnn")]]]
    (.setattr monkeypatch (getattr torch.backends name) "is_available" (fn [[there there]] there)))
  (assert (= expected [(mkl-is-narrow) (multiplies-bfloat16)])))

(defn test-compiled-it-is-the-same []
  (setv backend  (if (lacking (torch.device "cpu")) "aot_eager" "inductor")
        compiled (torch.compile product :fullgraph True :backend backend)
        x (torch.randn 3 5 8)  w (torch.randn 8 4)  b (torch.randn 4))
  (with [_ (torch.no-grad)]
    (assert-close (compiled x (.t w) b) (F.linear x (.t w) b))))

;;; Whom they serve

(defn test-the-gradient-is-autograds []
  (setv [model other] (lfor  _ "ab"  (gpt))
        [x y] [(ids 3 6) (ids 3 6)])
  (assert-close (add-gradient model x y 0.7) (course-add-gradient other x y 0.7))
  (for [[w twin] (zip (.parameters model) (.parameters other))]
    (assert-close w.grad twin.grad :rtol 1e-4 :atol 1e-6)))

(defn [recordable] test-recorded-the-gradient-is-the-same-to-the-bit [asked]
  (setv [model other] (lfor  _ "ab"  (gpt))
        record (Recorded add-gradient))
  (for [_ (range 3)]
    (setv found (lfor  [act gpt] [[record model] [add-gradient other]]
                       (act gpt (ids 3 6) (ids 3 6) 0.7)))
    (assert (torch.equal #* found)))
  (assert asked)
  (for [[w twin] (zip (.parameters model) (.parameters other))]
    (assert (torch.equal w.grad twin.grad))))

(defn [(pytest.mark.parametrize "rows" [1 3 4 9])
       (pytest.mark.parametrize "autocast" [False True])]
    test-the-kv-cache-says-the-same [autocast rows asked]
  (setv model (.eval (gpt))  cache (KVCache))
  (for [T (range 1 9)]
    (setv so-far   (ncut (ids 9 8) (: rows) (: T))
          expected (next-logits model so-far :block-size 6))
    (with [_ (torch.autocast "cpu" :dtype torch.bfloat16 :enabled autocast)]
      (setv logits (.next-logits cache model so-far :block-size 6)))
    (assert-close (.float logits) expected
                  #** (if autocast {"rtol" 0.1  "atol" 0.1} {})))
  (assert (= (bool asked) (not autocast))))

(defn test-weights-are-packed-once-it-pays []
  "For several texts, and from the first full window on; then they stay so."
  (setv model (.eval (gpt))  cache (KVCache))
  (defn packs [B T]
    (.next-logits cache model (ids B T) :block-size 6)
    (any (gfor  t cache.reader.read.tensors  t.is-mkldnn)))
  (assert (= [False False True True] (lfor  [B T] [[1 2] [1 5] [2 2] [1 3]]  (packs B T))))
  (setv cache (KVCache))
  (for [T (range 1 9)]
    (assert (= (packs 1 T) (> T 6)))))

(defn test-evaluation-says-the-same [asked monkeypatch]
  (setv model   (gpt)
        batches (lfor  B [3 2]  [(ids B 6) (ids B 6)])
        quick   (mean-loss model batches)
        before  (len asked))
  (assert before)
  (.setattr monkeypatch products "NARROW_MKL" False)
  (assert (= quick (pytest.approx (mean-loss model batches) :rel 1e-5)))
  (assert (= before (len asked))))

(defn [(pytest.mark.parametrize "narrow" [True False])]
    test-a-compiled-model-is-evaluated-compiled [narrow monkeypatch capsys]
  "Nothing about that context keeps torch.compile from what it does, for batches of any size."
  (.setattr monkeypatch products "NARROW_MKL" narrow)
  (.setattr monkeypatch torch "compile" (partial torch.compile :backend "aot_eager"))
  (setv model   (gpt)
        batches (lfor  B [3 2 4]  [(ids B 6) (ids B 6)])
        plain   (mean-loss model batches))
  (assert (= plain (pytest.approx (mean-loss (Compiled model) batches) :rel 1e-5)))
  (assert (= "" (. (.readouterr capsys) err))))

(defn test-where-nothing-is-gained-nobody-looks-on [monkeypatch]
  (defn looking-on [device]
    (isinstance (quick-products (torch.device device)) QuickProducts))
  (assert (looking-on "cpu"))
  (assert (not (looking-on "cuda")))
  (.setattr monkeypatch products "NARROW_MKL" False)
  (assert (not (looking-on "cpu"))))

(defn [(pytest.mark.parametrize "bias" [True False])
       (pytest.mark.parametrize "shape" [[8] [5 8] [2 5 8]])]
    test-gradients-are-autograds [shape bias asked]
  (setv layer (nn.Linear 8 4 :bias bias)
        x     (torch.randn #* shape :requires-grad True)
        dy    (torch.randn #* (cut shape -1) 4))
  (defn gradients []
    (torch.autograd.grad (layer x) [x #* (.parameters layer)] dy))
  (setv expected (gradients))
  (assert (= [] asked))
  (with [_ (QuickProducts)]
    (setv found (gradients)))
  (assert (= 3 (len asked)))
  (for [[a b] (zip found expected)]
    (assert-close a b)))

(defn test-a-gradients-gradient-is-refused []
  (setv layer (nn.Linear 8 4)  x (torch.randn 3 8 :requires-grad True))
  (with [_ (QuickProducts)]
    (setv [dx] (torch.autograd.grad (.sum (** (layer x) 2)) x :create-graph True)))
  (with [_ (pytest.raises RuntimeError :match "once_differentiable")]
    (.backward (.sum dx))))

(defn test-after-an-interruption-onednn-is-back []
  (with [_ (pytest.raises KeyboardInterrupt)
         _ (mkl-alone)]
    (assert (not products.NARROW-MKL))
    (raise KeyboardInterrupt))
  (assert products.NARROW-MKL))

(defn [(pytest.mark.parametrize "stage" ["gpt" "fast"])]
    test-other-runs-learn-by-them-too [stage asked root monkeypatch]
  "The course's stages, and draws as published: what learns by autograd."
  (defn trained []
    (setv run (new-run (str (/ root "data" "ab.txt")) :stage stage :n-embd 72 :n-head 2
                       :dropout (if (= stage "fast") 0.1 0.0) :draws "published"
                       :device "cpu" :compile "off"))
    (steps run 3))
  (setv quick (trained))
  (assert asked)
  (.setattr monkeypatch products "NARROW_MKL" False)
  (assert (= quick (pytest.approx (trained) :rel 1e-4))))

(defn test-any-model-has-them-in-their-context [asked]
  (setv layer (nn.Linear 8 4)  x (torch.randn 3 8))
  (with [_ (torch.no-grad)]
    (setv expected (layer x))
    (with [_ (QuickProducts)]
      (assert-close (layer x) expected)
      (assert-close (F.linear x :weight layer.weight :bias layer.bias) expected)))
  (assert (= 2 (len asked))))
