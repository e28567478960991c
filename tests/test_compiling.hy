"compiling.hy: when torch.compile is worth it, and that a run goes on where it cannot be done."

(import  shutil
         sysconfig
         pytest
         torch
         nanogpt-hy.config [configs preset]
         nanogpt-hy.lab.training :as training
         nanogpt-hy.lab.training.compiling [A-LAYER choose-compile compile-lazily Compiled
                                            do-without has-headers lacking seconds]
         nanogpt-hy.lab.training.device [with-threads]
         nanogpt-hy.lab.training.session [new-run]
         nanogpt-hy.lab.training.trainer [steps])

(setv CPU (torch.device "cpu")
      GPU (torch.device "cuda"))

(defn sizes [#** options]
  (configs 65 (preset "shakespeare-cpu") options))

(defn test-the-published-recipe-takes-about-a-minute []
  (assert (< 50 (seconds CPU #* (sizes)) 120)))

(defn [(pytest.mark.parametrize #("name" "expected") [#("ab" False) #("shakespeare-gpu" True)])]
      test-on-a-gpu-a-long-run-is-compiled [name expected monkeypatch]
  (monkeypatch.setattr training.compiling "lacking" (fn [device] None))
  (assert (= expected (get (choose-compile GPU #* (configs 65 (preset name))) 0))))

(defn [(pytest.mark.parametrize #("options" "expected")
         [#({"max_iters" 2000} False)
          #({"max_iters" 100,000} False)
          #({"max_iters" 100,000  "n_embd" 32} True)
          #({"max_iters" 2000  "n_embd" 32} False)
          #({"max_iters" 100,000  "n_embd" 32  "dropout" 0.1} False)
          #({"max_iters" 100,000  "compile" "off"} False)
          #({"max_iters" 1  "compile" "on"} True)])]
    test-compiling-is-weighed-against-the-run [options expected monkeypatch]
  (monkeypatch.setattr training.compiling "lacking" (fn [device] None))
  (assert (= expected (get (choose-compile CPU #* (sizes #** options)) 0))))

(defn test-a-recorded-step-is-compiled-only-if-it-is-very-narrow [monkeypatch]
  (monkeypatch.setattr training.compiling "lacking" (fn [device] None))
  (for [[channels threads expected] [[32 1 True] [32 2 True] [36 1 True] [36 2 False]]]
    (setv narrow (sizes :max-iters 100,000 :n-embd channels))
    (with [_ (with-threads threads)]
      (assert (= expected (get (choose-compile CPU #* narrow :recorded True) 0)))
      (assert (get (choose-compile CPU #* narrow) 0)))))

(defn test-without-a-compiler-nothing-is-compiled [monkeypatch]
  (monkeypatch.setattr shutil "which" (fn [name] None))
  (for [options [{"compile" "on"} {"max_iters" 100,000  "n_embd" 32}]]
    (setv [chosen why] (choose-compile CPU #* (sizes #** options)))
    (assert (not chosen))
    (assert (in "no compiler" why))))

(defn [(pytest.mark.parametrize "name" ["c++" "g++" "clang++"])]
    test-any-of-the-usual-compilers-will-do [name monkeypatch]
  (monkeypatch.setattr shutil "which" (fn [wanted] (when (= wanted name) f"/bin/{name}")))
  (monkeypatch.setattr training.compiling "has_headers" (fn [] True))
  (assert (is None (lacking CPU)))
  (assert (in "no compiler" (lacking GPU))))       ; which needs one for C

(defn test-without-pythons-headers-nothing-is-compiled [monkeypatch tmp-path]
  (monkeypatch.setattr shutil "which" (fn [name] "/bin/cc"))
  (monkeypatch.setattr sysconfig "get_path" (fn [name] (str (/ tmp-path name))))
  (assert (in "Python.h was not found" (lacking CPU)))
  (.mkdir (/ tmp-path "include"))
  (.touch (/ tmp-path "include" "Python.h"))
  (assert (is None (lacking CPU)))
  (monkeypatch.setattr torch.utils._triton "has_triton" (fn [] False))
  (assert (in "no triton" (lacking GPU))))

(defn test-headers-may-lie-where-macos-puts-them [monkeypatch tmp-path]
  (monkeypatch.setattr sysconfig "get_path" (fn [name] (str (/ tmp-path name "lib" "python3"))))
  (assert (not (has-headers)))
  (.mkdir (/ tmp-path "stdlib" "Headers") :parents True)
  (.touch (/ tmp-path "stdlib" "Headers" "Python.h"))
  (assert (has-headers)))

(defn test-where-compiling-fails-it-goes-on [monkeypatch capsys]
  (defn failing [#* arguments #** options]
    (raise (torch._dynamo.exc.TorchDynamoException "no header\nand more")))
  (import torch._dynamo)
  (monkeypatch.setattr torch "compile" (fn [function #** how] failing))
  (setv double (compile-lazily (fn [x] (* 2 x))))
  (assert (= [6 8] [(double 3) (double 4)]))
  (setv said (. (capsys.readouterr) err))
  (assert (= (.count said "\n") 1))
  (assert (in "no header" said)))

(defn [pytest.mark.slow] test-where-the-way-back-cannot-be-compiled-it-goes-on [monkeypatch capsys]
  (import torch._inductor.compile-fx :as compile-fx)
  (setv honest compile-fx._compile-fx-inner)
  (defn failing [#* arguments #** options]
    (when (.get options "is_backward")
      (raise (RuntimeError "out of registers")))
    (honest #* arguments #** options))
  (monkeypatch.setattr compile-fx "_compile_fx_inner" failing)
  (setv layer (torch.nn.Linear 3 2))
  (.backward (.sum ((Compiled layer) (torch.ones 4 3))))
  (assert (in "compiling failed" (. (capsys.readouterr) err)))
  (assert (is-not layer.weight.grad None)))

(defn test-batches-of-evaluation-do-not-loosen-the-training [monkeypatch]
  "Their shapes differ, and what is compiled for any shape is slower."
  (setv asked [])
  (monkeypatch.setattr torch "compile" (fn [function #** how]
                                         (fn [x]
                                           (.append asked (.get how "dynamic"))
                                           (function x))))
  (setv model (Compiled (torch.nn.Linear 2 2)))
  (model (torch.ones 3 2))
  (with [_ (torch.no-grad)]
    (model (torch.ones 4 2)))
  (assert (= asked [False None])))

(defn test-an-error-without-words-is-told-too [capsys]
  (import torch._dynamo)
  (do-without (torch._dynamo.exc.TorchDynamoException ""))
  (assert (in "no reason given" (. (capsys.readouterr) err))))

(defn test-nothing-is-compiled-for-other-devices []
  (assert (= (choose-compile (torch.device "mps") #* (sizes :max-iters 100,000))
             [False "only for CPUs and CUDA GPUs"])))

(defn test-other-errors-are-not-the-compilers [monkeypatch]
  (monkeypatch.setattr torch "compile" (fn [function #** how] function))
  (with [_ (pytest.raises ZeroDivisionError)]
    ((compile-lazily (fn [x] (/ x 0))) 1)))

(defn [pytest.mark.slow (pytest.mark.parametrize #("channels" "graphs") [#(8 0) #(72 1)])]
    test-compiled-training-is-the-same-training [channels graphs root capsys can-compile]
  "Losses to rounding. What is wide is one region for torch.compile: a graph without a break."
  (can-compile "cpu")
  (defn trained [compile]
    (setv run (new-run (str (/ root "data" "ab.txt")) :compile compile :device "cpu" :n-layer 1
                       :n-embd channels :n-head 2))
    (with [_ (with-threads 2)]
      (lfor  _ (range 3)  (steps run 2))))
  (import torch._dynamo.utils [counters])
  (.clear counters)
  (setv losses (trained "on"))
  (assert (= losses (pytest.approx (trained "off") :rel 1e-5)))
  (assert (= 0 (len (get counters "graph_break"))))
  (assert (= graphs (get counters "stats" "unique_graphs")))
  (assert (not-in "compiling failed" (. (capsys.readouterr) err))))

(defn test-more-batches-take-longer []
  (setv once (seconds CPU #* (sizes)))
  (assert (= (* 3 once) (pytest.approx (seconds CPU #* (sizes :gradient-accumulation-steps 3)))))
  (assert (= (* 2 once) (pytest.approx (seconds CPU #* (sizes :max-iters 4000))))))

(defn test-small-layers-keep-a-gpu-waiting []
  (setv small (sizes :n-embd 4 :n-layer 3 :max-iters 1000))
  (assert (= (seconds GPU #* small) (pytest.approx (* 3 1000 A-LAYER))))
  (assert (< (seconds CPU #* small) (* 3 1000 A-LAYER))))

(defn test-64-channels-are-narrow [monkeypatch]
  (monkeypatch.setattr training.compiling "lacking" (fn [device] None))
  (for [[channels expected] [[64 True] [68 False]]]
    (assert (= expected (get (choose-compile CPU #* (sizes :max-iters 1,000,000 :n-embd channels))
                             0)))))
