"Checkpoints: what is saved comes back, is found again, and fits into its model and no other."

(import  os
         random
         signal
         time
         pytest
         safetensors.torch
         torch
         torch.nn :as nn
         checkpoints [make META refusal refusals same saved tampered TENSORS tensors-of]
         nanogpt-hy.lab.checkpoints.checkpoint :as checkpoint
         nanogpt-hy.lab.checkpoints.checkpoint [check-shapes checkpoint-path header load-checkpoint
                                                load-weights newest-checkpoint read-meta
                                                restore-model save-checkpoint])

(defn [pytest.fixture] ckpt [tmp-path]
  (saved tmp-path))

;;; What is saved comes back

(defn test-round-trip [ckpt]
  (setv [tensors meta] (load-checkpoint ckpt))
  (assert (same tensors TENSORS))
  (assert (= META (dfor  key META  key (get meta key))))
  (assert (= 1 (get meta "format")))
  (assert (= meta (read-meta ckpt)))
  (assert (same tensors (safetensors.torch.load-file ckpt)))
  (assert (= (header ckpt) (dfor  [name t] (.items TENSORS)
                                 name #((if (in "generator" name) "U8" "F32") (tuple t.shape))))))

(defn test-same-content-same-bytes [tmp-path ckpt]
  (save-checkpoint (/ tmp-path "again") TENSORS META)
  (assert (= (.read-bytes ckpt) (.read-bytes (/ tmp-path "again")))))

(defn test-saving-what-was-read-changes-nothing [tmp-path ckpt]
  (setv before (.read-bytes ckpt))
  (save-checkpoint ckpt #* (load-checkpoint ckpt))
  (setv [tensors meta] (load-checkpoint ckpt))
  (assert (same tensors TENSORS))
  (assert (= (len before) (len (.read-bytes ckpt)))))

(defn test-shared-strided-and-half-tensors [tmp-path]
  (setv table  (torch.randn 4 6)
        mixed  {"model.a" table  "model.b" table  "model.c" (. table T)  "model.d" (cut table 2)
                "model.e" (.bfloat16 table)  "model.f" (torch.tensor [True False])
                "model.g" (torch.zeros 0 3)  "model.h" (nn.Parameter table)}
        path   (saved tmp-path mixed))
  (assert (same (get (load-checkpoint path) 0) mixed)))

(defn test-every-kind-of-number-comes-back [tmp-path]
  (setv tensors (dfor  kind checkpoint.KIND-NAMES
                       f"model.{kind}" (.to (torch.tensor [0 1 1]) kind)))
  (assert (same (get (load-checkpoint (saved tmp-path tensors)) 0) tensors)))

(defn test-only-weights-come-to-the-device [ckpt]
  (setv [tensors _] (load-checkpoint ckpt :device "meta"))
  (for [[name t] (.items tensors)]
    (assert (= t.device.type (if (.startswith name "model.") "meta" "cpu")) name)))

(defn test-little-is-needed-and-more-is-kept [tmp-path]
  (setv path (saved tmp-path {} {"stage" "bigram"  "config" {}  "step" 0  "note" [1 2 {"a" None}]
                                 "tokenizer" {"kind" "bpe"  "merges" [["a" "b"]]}})
        meta (read-meta path))
  (assert (= [{} {} {}] [(get meta "train") (get meta "losses") (get meta "data")]))
  (assert (= [1 2 {"a" None}] (get meta "note"))))

(defn test-number-keys-become-text [tmp-path]
  (setv path (saved tmp-path TENSORS {#** META "losses" {10 1.5  9 2.5}}))
  (assert (= {"10" 1.5  "9" 2.5} (get (read-meta path) "losses"))))

(defn test-a-meta-that-could-not-be-read-is-not-written [tmp-path]
  (for [bad [{"step" -1}  {"step" True}  {"stage" 3}  {"losses" {"val" (float "nan")}}
             {"config" {"n_layer" 0}}  {"config" {"n_layer" (** 10 9)}}
             {"tokenizer" {}}  {"tokenizer" {"kind" "char"  "chars" "ba"}}]]
    (with [(pytest.raises ValueError)]
      (saved tmp-path TENSORS {#** META #** bad})))
  (assert (= [] (list (.iterdir tmp-path)))))

(defn test-a-meta-that-is-too-long-is-not-written [tmp-path monkeypatch]
  (monkeypatch.setattr checkpoint "MOST_META" 1000)
  (saved tmp-path)
  (with [(pytest.raises ValueError :match "more than 1000")]
    (saved tmp-path TENSORS {#** META "note" (* "x" 1000)})))

(defn test-what-is-no-weight-makes-no-room-for-a-lie [tmp-path]
  (setv meta {#** META  "tokenizer" {"kind" "bpe"}  "config" {"vocab_size" 70,000}})
  (defn tables [kind]
    "Three, each too small for torch to start threads (see `filled`)."
    (dfor  i (range 3)  f"{kind}.{i}" (torch.zeros 25,000)))
  (saved tmp-path (tables "model") meta)
  (with [(pytest.raises ValueError :match "claims vocab_size 70000")]
    (saved tmp-path (tables "optimizer") meta)))

;;; Where checkpoints are

(defn test-a-run-folder-means-its-best-else-its-last [tmp-path]
  (assert (in "holds no best.safetensors" (refusals tmp-path)))
  (.touch (/ tmp-path "last.safetensors"))
  (assert (= (checkpoint-path tmp-path) (/ tmp-path "last.safetensors")))
  (.touch (/ tmp-path "best.safetensors"))
  (assert (= (checkpoint-path (str tmp-path)) (/ tmp-path "best.safetensors")))
  (assert (= (checkpoint-path (/ tmp-path "last.safetensors")) (/ tmp-path "last.safetensors"))))

(defn test-missing-file [tmp-path]
  (assert (in "does not exist" (refusals (/ tmp-path "no.safetensors")))))

(defn test-a-pipe-is-not-waited-for [tmp-path]
  (os.mkfifo (/ tmp-path "pipe"))
  (assert (in "neither a file nor a folder" (refusals (/ tmp-path "pipe")))))

(defn test-newest-run [tmp-path]
  (assert (in "train first" (refusal newest-checkpoint (/ tmp-path "runs"))))
  (for [[i name] (enumerate ["old/best" "new/best" "old/last" "new/last" "other/config"])]
    (setv file (/ tmp-path f"{name}.safetensors"))
    (.mkdir file.parent :exist-ok True)
    (.touch file)
    (os.utime file #((+ 1000 i) (+ 1000 i))))
  (assert (= (newest-checkpoint tmp-path) (/ tmp-path "new" "best.safetensors")))
  (os.utime (/ tmp-path "old" "last.safetensors") #(2000 2000))
  (assert (= (newest-checkpoint (str tmp-path)) (/ tmp-path "old" "best.safetensors"))))

;;; Weights into models

(defn test-restore-model [ckpt]
  (setv [tensors _] (load-checkpoint ckpt)
        model       (restore-model make tensors))
  (assert (same (.state-dict model) (dfor  [name t] (.items TENSORS)
                                          :if (.startswith name "model.")
                                          (cut name 6 None) t)))
  (assert (all (gfor  p (.parameters model)  p.requires-grad))))

(defn test-a-model-is-restored-to-its-device [ckpt]
  (setv [tensors _] (load-checkpoint ckpt :device "meta")
        model       (restore-model make tensors :device "meta"))
  (assert (all (gfor  p (.parameters model)  (= p.device.type "meta")))))

(defn test-restore-model-draws-no-number [ckpt]
  "A run goes on with the random numbers that it had."
  (setv [tensors _] (load-checkpoint ckpt)
        before      (torch.get-rng-state))
  (restore-model make tensors)
  (assert (torch.equal before (torch.get-rng-state))))

(defn test-restore-model-builds-nothing-large-that-does-not-fit [ckpt]
  (setv [tensors _] (load-checkpoint ckpt)
        large       (fn [] (nn.Sequential (nn.Embedding 3 2) (nn.Linear 1,000,000,000 3)))
        text        (refusal restore-model large tensors))
  (assert (in "'1.weight' has the shape [3, 2] instead of [3, 1000000000]" text)))

(defn test-load-weights-keeps-parameters-and-precision [ckpt]
  (setv [tensors _] (load-checkpoint ckpt)
        model       (.bfloat16 (make))
        first       (next (.parameters model)))
  (load-weights model tensors)
  (assert (is first (next (.parameters model))))
  (assert (is first.dtype torch.bfloat16))
  (assert (torch.equal first (.bfloat16 (get tensors "model.0.weight")))))

(defn test-load-weights-is-strict [ckpt]
  (setv [tensors _] (load-checkpoint ckpt)
        whole       (nn.Module)
        wrong       {#** tensors  "model.0.weight" (torch.zeros 3 2 :dtype torch.int64)}
        no-bias     (nn.Sequential (nn.Embedding 3 2) (nn.Linear 2 3 :bias False)))
  (assert (in "'0.weight' is of the kind torch.int64 instead of torch.float32"
              (refusal load-weights (make) wrong)))
  (.register-buffer whole "mask" (torch.ones 2 :dtype torch.int64))
  (assert (in "'mask' is of the kind torch.float32 instead of torch.int64"
              (refusal load-weights whole {"model.mask" (torch.ones 2)})))
  (assert (in "'1.bias' is unexpected" (refusal load-weights no-bias tensors)))
  (.pop tensors "model.1.bias")
  (assert (in "'1.bias' is missing" (refusal load-weights (make) tensors))))

(defn test-load-weights-keeps-ties [tmp-path]
  (defn tied []
    (setv model (nn.Sequential (nn.Embedding 3 2) (nn.Linear 2 3)))
    (setv (. model [1] weight) (. model [0] weight))
    model)
  (setv first   (tied)
        path    (saved tmp-path (tensors-of first))
        second  (restore-model tied (get (load-checkpoint path) 0)))
  (assert (is (. second [0] weight) (. second [1] weight)))
  (assert (same (.state-dict first) (.state-dict second))))

(defn test-check-shapes-names-three-and-counts-the-rest []
  (check-shapes {"a" #(1 2)} {"a" [1 2]})
  (check-shapes {} {})
  (setv text (refusal check-shapes (dfor  i (range 6)  f"w{i}" #(2))
                                   {"w0" #(2)  "w1" #(3)  "x" #()}))
  (assert (in "'w2' is missing; 'w3' is missing; 'w4' is missing; and 3 more" text)))

(defn test-a-tampered-shape-that-fits-its-bytes [ckpt]
  (tampered ckpt (fn [head meta] (setv (get head "model.1.weight" "shape") [2 3])))
  (setv [tensors _] (load-checkpoint ckpt))
  (assert (in "'1.weight' has the shape [2, 3] instead of [3, 2]"
              (refusal load-weights (make) tensors))))

;;; Killed at any moment

(defn filled [step]
  "Tensors that say their step, each too small for torch to start threads: those outlive no fork."
  (dfor  i (range 30)  f"model.{i}" (torch.full #(100 100) (float step))))

(defn save-for-ever [path]
  "Save checkpoint after checkpoint, each one filled with the number of its step."
  (setv step 0)
  (while True
    (setv step (+ step 1))
    (save-checkpoint path (filled step) {#** META  "step" step})))

(defn test-kill-9-at-any-moment-leaves-a-whole-checkpoint [tmp-path]
  (setv path  (/ tmp-path "last.safetensors")
        dice  (random.Random 1)
        steps [])
  (save-checkpoint path (filled 0) {#** META  "step" 0})
  (for [_ (range 10)]
    (setv child (os.fork))
    (when (= child 0)
      (try (save-for-ever path)
        (finally (os._exit 1))))
    (time.sleep (.uniform dice 0.02 0.15))
    (os.kill child signal.SIGKILL)
    (setv [_ status] (os.waitpid child 0))
    (assert (= signal.SIGKILL (os.WTERMSIG status)))
    (setv [tensors meta] (load-checkpoint path))
    (assert (same tensors (filled (get meta "step"))))
    (.append steps (get meta "step")))
  (assert (> (max steps) 0)))
