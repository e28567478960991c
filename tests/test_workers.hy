"adamw.hy and workers.hy: torch's AdamW, and the gradient of a batch by two threads, are what the
plain forms give."

(import  ctypes
         dataclasses [replace]
         functools [partial]
         math [inf nan]
         platform
         sys
         threading
         warnings
         hypothesis [given settings strategies :as st]
         pytest
         recordings [recordable]
         torch
         torch.nn.functional :as F
         torch.testing [assert-close]
         nanogpt-hy.backprop [add-gradient]
         nanogpt-hy.config [GPTConfig]
         nanogpt-hy.course [GPT train-step]
         nanogpt-hy.fast [FastGPT]
         nanogpt-hy.lab.training.adamw [AdamW flat-gradients parameter-groups]
         nanogpt-hy.lab.training.compiled-gradient :as compiled-gradient
         nanogpt-hy.lab.training.compiled-gradient [as-function CompiledGradient]
         nanogpt-hy.lab.training.device :as device
         nanogpt-hy.lab.training.device [fit-free-threads free-cores keep-memory with-threads]
         nanogpt-hy.lab.training.saving [state-tensors]
         nanogpt-hy.lab.training.session [new-run]
         nanogpt-hy.lab.training.trainer [steps]
         nanogpt-hy.lab.training.workers :as workers
         nanogpt-hy.lab.training.workers [in-turn Workers]
         nanogpt-hy.recording [can-record Recorded records-rightly])

(setv WIDE (GPTConfig :vocab-size 11 :block-size 6 :n-layer 2 :n-head 2 :n-embd 72))

(defn gpt [[c WIDE]]
  (torch.manual-seed 3)
  (FastGPT c))

(defn batch [B]
  [(torch.randint 11 #(B 6)) (torch.randint 11 #(B 6))])

(defn ready [model]
  "MODEL, its weights with gradients of zeros."
  (flat-gradients (list (.parameters model)))
  model)

(defn same-gradients [model other]
  "Assert that they are the same but for rounding."
  (for [[w twin] (zip (.parameters model) (.parameters other))]
    (assert-close w.grad twin.grad :rtol 1e-4 :atol 1e-6)))

;;; AdamW

(defn [(pytest.mark.parametrize "make" [GPT FastGPT])] test-only-matrices-decay [make]
  (setv model (make WIDE)
        [decayed kept] (parameter-groups model 0.1))
  (assert (= [0.1 0.0] [(get decayed "weight_decay") (get kept "weight_decay")]))
  (assert (all (gfor  w (get decayed "params") (= (.dim w) 2))))
  (assert (all (gfor  w (get kept "params") (= (.dim w) 1))))
  (assert (= (sorted (map id (+ (get decayed "params") (get kept "params"))))
             (sorted (map id (.parameters model))))))

(defn [(pytest.mark.parametrize "flat" [True False])] test-adamw-is-torchs [flat]
  (setv [model other] [(gpt) (gpt)]
        adamw (AdamW (parameter-groups model 0.1) :betas [0.9 0.99] :flat flat)
        torchs (torch.optim.AdamW (parameter-groups other 0.1) :betas #(0.9 0.99) :fused True))
  (for [rate [1e-2 3e-3 1e-3]]
    (for [optimizer [adamw torchs]  group optimizer.param-groups]
      (setv (get group "lr") rate))
    (setv [x y] (batch 4))
    (assert-close (train-step model adamw [x y]) (train-step other torchs [x y])))
  (for [[w twin] (zip (.parameters model) (.parameters other))]
    (assert-close w twin)))

(defn test-flat-weights-keep-their-names-shapes-and-ties []
  (setv model (gpt)
        before (dfor  [name t] (.items (.state-dict model))  name (.clone t)))
  (AdamW (parameter-groups model 0.1) :betas [0.9 0.99] :flat True)
  (assert (is model.transformer.wte.weight model.lm-head.weight))
  (setv after (.state-dict model))
  (assert (= (list after) (list before)))
  (for [[name t] (.items after)]
    (assert (torch.equal t (get before name)))))

(defn [(pytest.mark.parametrize "flat" [True False])
       (pytest.mark.parametrize "most" [1e-3 1.0 1e3])]
    test-a-gradient-is-cut-as-torch-cuts-it [flat most]
  (setv [model other] [(gpt) (gpt)]
        adamw (AdamW (parameter-groups model 0.1) :betas [0.9 0.99] :flat flat)
        [x y] (batch 4))
  (for [m [model other]]
    (.backward (F.cross-entropy (.flatten (m x) 0 1) (.flatten y))))
  (.clip adamw most)
  (torch.nn.utils.clip-grad-norm_ (.parameters other) most)
  (for [[w twin] (zip (.parameters model) (.parameters other))]
    (assert-close w.grad twin.grad)))

(defn [(pytest.mark.parametrize "flat" [True False])
       (pytest.mark.parametrize "odd" [inf nan])]
    test-a-gradient-that-is-no-number-does-not-hide [flat odd]
  (setv model (gpt)
        adamw (AdamW (parameter-groups model 0.1) :betas [0.9 0.99] :flat flat))
  (for [w (.parameters model)]
    (setv w.grad (if flat (.fill- w.grad 1) (torch.ones-like w))))
  (setv (get (. (next (.parameters model)) grad) #(0 0)) odd)
  (.clip adamw 1.0)
  (setv grads (torch.cat (lfor  w (.parameters model)  (.flatten w.grad))))
  (assert (.any (.isnan grads)))
  (assert (not (.any (= grads 1)))))

(defn test-a-weight-without-a-gradient-stays []
  (setv used (torch.nn.Parameter (torch.ones 2))
        idle (torch.nn.Parameter (torch.ones 3))
        adamw (AdamW [{"params" [used idle]  "weight_decay" 0.1}] :betas [0.9 0.99] :flat False))
  (.backward (.sum used))
  (setv (get adamw.param-groups 0 "lr") 0.1)
  (.step adamw)
  (assert (torch.equal idle (torch.ones 3)))
  (assert (< (.max used) 1)))

;;; Two threads

(defn workers-of [c * [chance None] [compiled False]]
  "-> model, its optimizer and the Workers of it, of which there are two."
  (setv model (gpt c)
        adamw (AdamW (parameter-groups model 0.1) :betas [0.9 0.99] :flat True))
  (with [_ (with-threads 2)]
    (setv workers (Workers model c adamw chance :compiled compiled)))
  (assert (= 2 (len workers.models)))
  [model adamw workers])

(defn [(settings :max-examples 12 :deadline None)
       (given :B (st.integers 1 7) :share (st.floats 0.1 1))]
    test-two-threads-find-the-gradient-of-one [B share]
  (setv [model adamw workers] (workers-of WIDE)
        other (ready (gpt))
        [x y] (batch B))
  (for [_ (range 2)]                               ; what the other thread had is not added twice
    (assert-close (.add-gradients workers x y share (.chances workers))
                  (add-gradient other x y share)))
  (same-gradients model other))

(defn test-what-an-interrupted-step-left-is-not-counted []
  (setv [model adamw workers] (workers-of WIDE)
        [x y] (batch 4))
  (.add-gradients workers x y 1.0 (.chances workers))
  (setv whole (.clone adamw.gradients))
  (.fill- (get workers.gradients 1) 7)
  (.zero-grad adamw)
  (.add-gradients workers x y 1.0 (.chances workers))
  (assert-close adamw.gradients whole))

(defn test-rows-in-parts-are-the-same-gradient []
  (setv [model adamw workers] (workers-of WIDE)
        [x y] (batch 7))
  (.add-gradients workers x y 1.0 (.chances workers))
  (setv whole (.clone adamw.gradients))
  (.zero-grad adamw)
  (setv workers.rows 1)
  (.add-gradients workers x y 1.0 (.chances workers))
  (assert-close adamw.gradients whole :rtol 1e-4 :atol 1e-6))

(defn test-a-part-is-a-row-at-least []
  (setv [_ _ workers] (workers-of (replace WIDE :block-size 4096 :n-layer 1)))
  (assert (= 1 workers.rows)))

(defn test-all-of-a-workers-rows-in-a-step-draw-on []
  "In parts, and batch after batch: no mask comes twice."
  (setv places []
        [_ adamw both] (workers-of (replace WIDE :dropout 0.3)
                            :chance (fn [i] (.manual-seed (torch.Generator) i))))
  (defn watched [model x y share * [chance None]]
    (.append places (hash (.tobytes (.numpy (.get-state chance)))))
    (add-gradient model x y share :chance chance))
  (setv both.rows 1  both.in-turn True  both.add-gradient watched)
  (for [group adamw.param-groups]
    (setv (get group "lr") 0.1))
  (workers.train-step both adamw (batch 4) (batch 4))
  (assert (= 8 (len places) (len (set places)))))

(defn test-in-turn-or-at-once-the-bits-are-the-same []
  (setv c (replace WIDE :dropout 0.3)
        [model adamw workers]
          (workers-of c :chance (fn [i] (.manual-seed (torch.Generator) (+ 5 i))))
        [x y] (batch 6))
  (defn gradients []
    (.zero-grad adamw)
    (.add-gradients workers x y 1.0 (.chances workers))
    (.clone adamw.gradients))
  (with [_ (with-threads 1)]
    (setv at-once (gradients)
          again   (gradients))
    (with [_ (in-turn workers)]
      (setv one-by-one (gradients))))
  (assert (not workers.in-turn))
  (assert (torch.equal at-once again))
  (assert (torch.equal at-once one-by-one)))

(defn [(pytest.mark.parametrize "dropout" [0.0 0.2])]
    test-a-wide-run-repeats-itself-bit-for-bit [dropout root]
  (defn trained [#* parts]
    (setv run (new-run (str (/ root "data" "ab.txt")) :n-embd 72 :n-head 4 :dropout dropout
                       :device "cpu" :block-size 16))
    (for [count parts]
      (steps run count))
    (state-tensors run))
  (with [_ (with-threads 2)]
    (setv [whole parted] [(trained 6) (trained 2 4)]))
  (for [[name t] (.items whole)]
    (assert (torch.equal t (get parted name)) name)))

;;; Recorded

(setv NARROW-ONE (replace WIDE :n-embd 8))

(defn test-where-torch-does-not-record-it-is-known [monkeypatch]
  (with [here (.context monkeypatch)]
    (.setattr here torch.jit._state "_enabled" False)
    (assert (not (can-record))))
  (with [here (.context monkeypatch)]
    (.delattr here torch.jit "trace")
    (assert (not (can-record))))
  (setv torchs-own torch.jit.trace)
  (.setattr monkeypatch sys "version_info" #(3 14 0))            ; from here on it has to be shown
  (defn failing [#* _ #** options]
    (raise (RuntimeError "broken")))
  (defn forgetful [act inputs #** options]
    (setv value (act #* inputs))
    (fn [#* inputs] value))
  (for [[trace expected] [[torchs-own True] [failing False] [forgetful False]]]
    (records-rightly.cache-clear)
    (.setattr monkeypatch torch.jit "trace" trace)
    (assert (is (can-record) expected)))
  (records-rightly.cache-clear))

(defn [recordable] test-recording-warns-of-nothing []
  "torch warns that trace is to go, and of each size that Python sees."
  (with [_ (warnings.catch-warnings :action "error")]
    (setv loss ((Recorded add-gradient) (ready (gpt NARROW-ONE)) #* (batch 2) 1.0)))
  (assert (> loss 0)))

(defn [recordable] test-another-share-or-size-is-recorded-anew []
  (setv record (Recorded add-gradient)
        model  (ready (gpt NARROW-ONE)))
  (for [[B share] [[2 1.0] [2 0.5] [3 0.5] [2 1.0]]]
    (setv [x y] (batch B))
    (assert (torch.equal (record model x y share) (add-gradient model x y share))))
  (assert (= 3 (len record.records))))

(defn [recordable (pytest.mark.parametrize "c" [NARROW-ONE
                                                (replace NARROW-ONE :bias False)
                                                (replace NARROW-ONE :block-size 70)
                                                WIDE]
                                           :ids ["plain" "no-bias" "in-parts" "wide"])
       (pytest.mark.parametrize "dtype" [torch.float32 torch.bfloat16])
       (settings :max-examples 5 :deadline None)
       (given :B (st.integers 1 5) :share (st.floats 0.1 1))]
    test-what-was-recorded-is-the-same-to-the-bit [c dtype B share]
  "The first time, and each further one: with other weights, another batch, and another model."
  (setv gradient (partial add-gradient :dtype dtype)
        record (Recorded gradient)
        models (lfor  _ (range 2)  (ready (gpt c))))
  (for [turn (range 6)]
    (setv model (get models (% turn 2))
          batch (lfor  _ "xy"  (torch.randint 11 #(B c.block-size)))
          found (lfor  act [gradient record]
                       (do (for [w (.parameters model)]
                             (.fill- w.grad turn))
                           (setv loss (act model #* batch share))
                           [loss #* (lfor  w (.parameters model)  (.clone w.grad))])))
    (for [[expected own] (zip #* found)]
      (assert (torch.equal expected own)))
    (with [_ (torch.no-grad)]
      (for [w (.parameters model)]
        (.add- w (torch.randn-like w) :alpha 0.1))))
  (assert (= 1 (len record.records))))

(defn [(pytest.mark.parametrize #("now" "expected")
         [#([10.0 18.0 1.0] 2)           ; of two cores: 1 s in 10 is for others
          #([10.0 0.5 9.5] 1)            ; they have one of them
          #([10.0 0.0 0.5] 1)            ; and both
          #([0.1 6.3 0.1] 64)])]
    test-cores-where-others-compute-are-not-free [now expected monkeypatch]
  "From the time that passed, the time without work of all cores together, and one's own work."
  (.setattr monkeypatch device "LOADED" [5.0 100.0 3.0])
  (.setattr monkeypatch device "glance" (fn [] (lfor  [a b] (zip [5.0 100.0 3.0] now)  (+ a b))))
  (assert (= expected (free-cores))))

(defn [(pytest.mark.parametrize #("free" "c" "expected")
         [#(1 WIDE 1)  #(2 WIDE 2)  #(64 WIDE 2)  #(2 NARROW-ONE 1)])]
    test-texts-are-drawn-by-threads-that-need-not-wait [free c expected monkeypatch]
  (.setattr monkeypatch device "free_cores" (fn [] free))
  (with [_ (with-threads 2)]
    (with [_ (fit-free-threads c)]
      (assert (= expected (torch.get-num-threads))))
    (assert (= 2 (torch.get-num-threads)))))

(defn [recordable] test-a-narrow-run-is-recorded-and-repeats-itself-bit-for-bit [root monkeypatch]
  (defn trained [#* parts]
    (setv run (new-run (str (/ root "data" "ab.txt")) :n-embd 8 :n-head 2 :device "cpu"
                       :block-size 16))
    (for [count parts]
      (steps run count))
    [run (state-tensors run)])
  (with [_ (with-threads 2)]
    (setv [run whole] (trained 6)
          [_ parted]  (trained 2 4)
          [_ again]   (do (.setattr monkeypatch workers "can_record" (fn [] False))
                          (trained 6))))
  (assert (isinstance run.workers.add-gradient Recorded))
  (assert (= 2 run.workers.threads))
  (for [[name t] (.items whole)]
    (assert (torch.equal t (get parted name)) name)
    (when (.is-floating-point t)                     ; one thread adds up in another order
      (assert-close t (get again name) :rtol 1e-3 :atol 1e-5))))

(defn [(pytest.mark.parametrize "how" [{} {"dropout" 0.2} {"block_size" 70} {"n_embd" 72}])]
    test-in-bfloat16-the-same-steps-are-taken [how root]
  "As in float32, to what is rounded; the weights stay in float32, and more rows make a part."
  (defn trained [dtype]
    (setv run (new-run (str (/ root "data" "ab.txt")) :device "cpu" :dtype dtype :max-iters 20
                       :compile "off" #** {"n_embd" 16  "n_head" 2  "block_size" 16 #** how}))
    [run (steps run 20)])
  (setv [run loss]   (trained "bfloat16")
        [other wanted] (trained "float32"))
  (assert-close loss wanted :rtol 0.02 :atol 0)
  (assert (!= loss wanted))
  (assert (all (gfor  w (.parameters run.model)  (is w.dtype torch.float32))))
  (assert (>= run.workers.rows (* 2 other.workers.rows))))

(defn [(pytest.mark.parametrize "options" [{"dropout" 0.1} {"compile" "on"}])]
    test-what-is-not-recorded [options root]
  (setv run (new-run (str (/ root "data" "ab.txt")) :device "cpu" #** options))
  (assert (not (isinstance run.workers.add-gradient Recorded))))

;;; Compiled

(defn [(pytest.mark.parametrize "c" [NARROW-ONE
                                     (replace NARROW-ONE :bias False)
                                     (replace NARROW-ONE :tied False)
                                     (replace NARROW-ONE :block-size 70)]
                                :ids ["plain" "no-bias" "untied" "in-parts"])
       (settings :max-examples 5 :deadline None)
       (given :B (st.integers 1 5) :share (st.floats 0.1 1))]
    test-as-a-function-of-its-numbers-the-gradient-is-the-same [c B share]
  (setv [model adamw _] (workers-of c :compiled True)
        batch (lfor  _ "xy"  (torch.randint 11 #(B c.block-size)))
        [loss gradient] ((as-function add-gradient model adamw.weights share)
                         #* batch adamw.numbers))
  (assert (not (.any adamw.gradients)))                ; nothing was added to what the model has
  (assert (torch.equal loss (add-gradient model #* batch share)))
  (assert (torch.equal gradient adamw.gradients)))

(defn [(pytest.mark.parametrize #("options" "expected")
         [#({} CompiledGradient)  #({"dropout" 0.1} None)  #({"n_embd" 72} None)])]
    test-who-computes-what-is-compiled [options expected]
  "Two threads, each its own rows; but dropout, and what is wide, one program with all threads."
  (setv c (replace NARROW-ONE #** options)
        model (gpt c))
  (with [_ (with-threads 2)]
    (setv both (Workers model c (AdamW (parameter-groups model 0.1) :betas [0.9 0.99] :flat True)
                        None :compiled True)))
  (if expected
    (assert (= [(isinstance both.add-gradient expected) 2 1]
               [True (len both.models) both.threads-each]))
    (assert (= [1 2] [(len both.models) both.threads-each]))))

(defn [pytest.mark.slow] test-two-threads-run-what-is-compiled [can-compile]
  (can-compile "cpu")
  (setv [model adamw both] (workers-of NARROW-ONE :compiled True)
        other (ready (gpt NARROW-ONE)))
  (for [B [3 3 2]]                                 ; two rows and one, again, and one each
    (setv [x y] (batch B))
    (assert-close (.add-gradients both x y 0.5 (.chances both)) (add-gradient other x y 0.5))
    (same-gradients model other)
    (with [_ (torch.no-grad)]                      ; nor is it for these weights only
      (for [m [model other]  w (.parameters m)]
        (.mul- w 1.01))))
  (assert (not both.add-gradient.failed))
  (assert (= 3 (len both.add-gradient.programs))))

(defn test-another-share-or-size-is-compiled-anew [monkeypatch]
  "By the main thread, where Ctrl-C can end it."
  (.setattr monkeypatch compiled-gradient "compiled"
            (fn [function inputs]
              (assert (is (threading.current-thread) (threading.main-thread)))
              function))
  (setv [model adamw both] (workers-of NARROW-ONE :compiled True)
        other (ready (gpt NARROW-ONE)))
  (for [[B share] [[2 1.0] [2 0.5] [4 0.5] [2 1.0]]]
    (setv [x y] (batch B))
    (assert-close (.add-gradients both x y share (.chances both)) (add-gradient other x y share)))
  (assert (= 3 (len both.add-gradient.programs))))

(defn [recordable] test-where-it-cannot-be-compiled-a-step-is-recorded [monkeypatch capsys]
  "And that is said once, not of each size of a batch."
  (defn failing [function inputs]
    (raise (ImportError "no such compiler")))
  (.setattr monkeypatch compiled-gradient "compiled" failing)
  (setv [model adamw both] (workers-of NARROW-ONE :compiled True)
        other (ready (gpt NARROW-ONE)))
  (for [B [3 4]]
    (setv [x y] (batch B))
    (assert-close (.add-gradients both x y 1.0 (.chances both)) (add-gradient other x y 1.0)))
  (same-gradients model other)
  (assert (= 1 (.count (. (capsys.readouterr) err) "no such compiler")))
  (assert (= 3 (len both.add-gradient.otherwise.records))))  ; of two rows and one, and of two each

;;; Memory

(defn [(pytest.mark.skipif (!= "glibc" (get (platform.libc-ver) 0))
                           :reason "only glibc can be told to keep memory")]
    test-a-step-takes-the-memory-of-the-step-before [root]
  "Else each of these steps would get some two thousand pages from the system."
  (import resource)
  (defn faults [] (. (resource.getrusage resource.RUSAGE-SELF) ru-minflt))
  (setv run (new-run (str (/ root "data" "ab.txt")) :device "cpu" :n-embd 128 :n-head 4 :n-layer 4
                     :block-size 64 :batch-size 12))
  (with [_ (with-threads 2)]
    (steps run 10)
    (setv before (faults))
    (steps run 10))
  (assert (< (- (faults) before) 3000)))

(defn test-elsewhere-memory-is-left-alone [monkeypatch]
  (.setattr monkeypatch sys "platform" "darwin")
  (assert (not (keep-memory)))
  (.setattr monkeypatch sys "platform" "linux")
  (.setattr monkeypatch ctypes "CDLL" (fn [name] (object)))       ; musl, which has no mallopt
  (assert (not (keep-memory))))
