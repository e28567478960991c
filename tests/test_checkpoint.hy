"Checkpoints: what is saved comes back; what is broken, foreign or a lie is refused in one line."

(import  errno
         json
         os
         pickle
         random
         resource
         signal
         time
         hypothesis [given settings strategies :as st]
         pytest
         safetensors.torch
         torch
         torch.nn :as nn
         nanogpt-hy.errors [RequestError WorkError]
         nanogpt-hy.lab.checkpoint :as checkpoint
         nanogpt-hy.lab.checkpoint [check-shapes checkpoint-path header load-checkpoint load-weights
                                    newest-checkpoint read-meta restore-model save-checkpoint
                                    write-atomic])

(setv META {"stage"     "gpt"
            "config"    {"vocab_size" 3  "block_size" 4  "n_layer" 1  "n_head" 1  "n_embd" 2}
            "train"     {"seed" 1337  "device" "cpu"  "min_lr" None}
            "tokenizer" {"kind" "char"  "chars" ["\n" "a" "ß"]}
            "step"      7
            "losses"    {"train" 0.5  "val" 0.625}
            "data"      {"sha256" "00ff"}})

(defn make []
  (nn.Sequential (nn.Embedding 3 2) (nn.Linear 2 3)))

(defn tensors-of [model]
  "What a run would save of MODEL: three kinds of tensors under three prefixes."
  {#** (dfor [name t] (.items (.state-dict model)) (+ "model." name) t)
   "optimizer.0.step"       (torch.tensor 7.0)
   "optimizer.0.exp_avg"    (torch.randn 3 2)
   "generator.batches"      (.get-state (.manual-seed (torch.Generator) 5))})

(setv TENSORS (tensors-of (make)))

(defn saved [folder [tensors TENSORS] [meta META]]
  (setv path (/ folder "best.safetensors"))
  (save-checkpoint path tensors meta)
  path)

(defn [pytest.fixture] ckpt [tmp-path]
  (saved tmp-path))

(defn same [a b]
  "Whether two dicts of tensors are equal, bit for bit."
  (and (= (set a) (set b))
       (all (gfor name a (and (is (. (get a name) dtype) (. (get b name) dtype))
                              (torch.equal (get a name) (get b name)))))))

(defn refusal [f #* args #** kw]
  "The one line with which (F ARGS…) is refused."
  (with [caught (pytest.raises RequestError)]
    (f #* args #** kw))
  (setv text (str caught.value))
  (assert (not-in "\n" text))
  (assert (< (len text) 600))
  text)

(defn refusals [path]
  "The line in which PATH is refused, by both ways to read it."
  (setv text (refusal load-checkpoint path))
  (assert (= text (refusal read-meta path)))
  (assert (in (str path) text))
  text)

;; A file taken apart and put together again, with a fresh digest if it is to look honest

(defn apart [path]
  "-> header dict, meta dict, data bytes"
  (setv all  (.read-bytes path)
        end  (+ 8 (int.from-bytes (cut all 8) "little"))
        head (json.loads (cut all 8 end)))
  #(head (json.loads (get head "__metadata__" "nanogpt_hy")) (cut all end None)))

(defn framed [text data]
  (setv text (if (isinstance text str) (.encode text) text))
  (+ (.to-bytes (len text) 8 "little") text data))

(defn together [path head meta data [honest True]]
  (when honest
    (setv entries (dfor [name e] (.items head)
                        :if (and (!= name "__metadata__") (isinstance e dict) (in "shape" e))
                        name [(get e "dtype") (get e "shape")])
          meta    {#** meta  "digest" (checkpoint.digest meta entries)}))
  (when (is-not meta None)
    (setv text (if (isinstance meta str) meta (json.dumps meta))
          head {#** head  "__metadata__" {"nanogpt_hy" text}}))
  (.write-bytes path (framed (json.dumps head) data)))

(defn tampered [path change [honest True]]
  "Let CHANGE edit the header and the metadata of the file PATH in place."
  (setv [head meta data] (apart path))
  (change head meta)
  (together path head meta data honest)
  path)

;; What is saved comes back

(defn test-round-trip [ckpt]
  (setv [tensors meta] (load-checkpoint ckpt))
  (assert (same tensors TENSORS))
  (assert (= META (dfor key META key (get meta key))))
  (assert (= 1 (get meta "format")))
  (assert (= meta (read-meta ckpt)))
  (assert (same tensors (safetensors.torch.load-file ckpt)))
  (assert (= (header ckpt) (dfor [name t] (.items TENSORS)
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

;; Where checkpoints are

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

;; Files that are broken or something else

(defn test-empty-file [tmp-path]
  (.touch (/ tmp-path "x"))
  (assert (in "is empty" (refusals (/ tmp-path "x")))))

(defn [(settings :deadline None :max-examples 150) (given (st.data))]
      test-cut-short-anywhere [tmp-path-factory data]
  (setv folder (.mktemp tmp-path-factory "cut")
        whole  (.read-bytes (saved folder))
        n      (.draw data (st.integers 0 (- (len whole) 1))))
  (.write-bytes (/ folder "x") (cut whole n))
  (setv text (refusals (/ folder "x")))
  (assert (in (cond (= n 0) "is empty" (< n 10) f"only {n} bytes" True "cut short") text)))

(defn test-too-long [ckpt]
  (.write-bytes ckpt (+ (.read-bytes ckpt) b"!"))
  (assert (in "1 bytes follow" (refusals ckpt))))

(defn test-text-file [tmp-path]
  (.write-text (/ tmp-path "x.txt") "First Citizen:\nBefore we proceed any further, hear me.\n")
  (assert (in "is a text file" (refusals (/ tmp-path "x.txt")))))

(defn test-torch-pickles-are-named-and-never-opened [tmp-path]
  (setv state (.state-dict (make)))
  (torch.save state (/ tmp-path "zip.pt"))
  (torch.save state (/ tmp-path "old.pt") :_use-new-zipfile-serialization False)
  (.write-bytes (/ tmp-path "raw.pt") (pickle.dumps {"a" (list (range 20))}))
  (for [name ["zip.pt" "old.pt" "raw.pt"]]
    (setv text (refusals (/ tmp-path name)))
    (assert (in "looks like a torch pickle" text))
    (assert (in "nanogpt-hy import" text))))

(defn test-random-bytes [tmp-path]
  (setv dice (random.Random 3))
  (for [n [1 8 9 10 100 5000]]
    (.write-bytes (/ tmp-path "x") (.randbytes dice n))
    (refusals (/ tmp-path "x"))))

(defn test-a-header-larger-than-allowed-is-not-read [tmp-path]
  (with [file (open (/ tmp-path "x") "wb")]
    (.write file (+ (.to-bytes 100,000,001 8 "little") b"{"))
    (.truncate file 200,000,000))
  (assert (in "is not a .safetensors file" (refusals (/ tmp-path "x")))))

(defn test-somebody-elses-safetensors [tmp-path]
  (setv path (/ tmp-path "x.safetensors"))
  (safetensors.torch.save-file {"w" (torch.zeros 2 3)} path :metadata {"format" "pt"})
  (assert (in "not one of nanogpt-hy" (refusals path)))
  (assert (in "nanogpt-hy import" (refusals path)))
  (assert (= (header path) {"w" #("F32" #(2 3))}))
  (safetensors.torch.save-file {"w" (torch.zeros 2 3)} path)
  (assert (in "not one of nanogpt-hy" (refusals path))))

(setv BAD-JSON
  [["{"                                    "cannot be read"]
   [""                                     "cannot be read"]
   ["[1]"                                  "no JSON object"]
   ["7"                                    "no JSON object"]
   ["{\"format\": NaN}"                    "not a finite number"]
   ["{\"format\": -Infinity}"              "not a finite number"]
   ["{\"format\": 1e999}"                  "not a finite number"]
   ["{\"format\": 1, \"format\": 1}"       "comes twice"]
   [(+ (* "[" 200,000) (* "]" 200,000))    "nested too deeply"]
   [(+ "{\"a\":" (* "[" 60) (* "]" 60) "}") "nested too deeply"]
   [(+ "{\"format\": 1" (* "0" 5000) "}")  "cannot be read"]
   ["{}"                                   "without the number of its format"]
   ["{\"format\": true}"                   "without the number of its format"]
   ["{\"format\": 1}"                      "does not match its own digest"]])

(defn [(pytest.mark.parametrize #("text" "why") BAD-JSON)]
      test-metadata-that-is-no-honest-json [ckpt text why]
  (setv [head _ data] (apart ckpt))
  (together ckpt head text data False)
  (assert (in why (refusals ckpt))))

(setv BAD-META
  [["stage"     3                                "stage that is not text"]
   ["config"    []                               "config that is not an object"]
   ["config"    {"n_layer" [1]}                  "list or an object"]
   ["config"    {"n_embd" "9"}                   "n_embd is '9'"]
   ["config"    {"n_embd" True}                  "n_embd is 'True'"]
   ["config"    {"block_size" 0}                 "block_size is '0'"]
   ["config"    {"vocab_size" 4}                 "3 characters and a config whose vocab_size is 4"]
   ["step"      "7"                              "step that is not a whole number"]
   ["step"      1.0                              "step that is not a whole number"]
   ["step"      True                             "step that is not a whole number"]
   ["step"      -1                               "step that is negative"]
   ["train"     None                             "train that is not an object"]
   ["losses"    [1]                              "losses that is not an object"]
   ["data"      "x"                              "data that is not an object"]
   ["tokenizer" "char"                           "tokenizer that is not an object"]
   ["tokenizer" {}                               "without a kind"]
   ["tokenizer" {"kind" "char"}                  "chars are no characters"]
   ["tokenizer" {"kind" "char"  "chars" ["ab"]}  "chars are no characters"]
   ["tokenizer" {"kind" "char"  "chars" [1]}     "chars are no characters"]
   ["tokenizer" {"kind" "char"  "chars" ["\ud800"]}   "chars are no characters"]
   ["tokenizer" {"kind" "char"  "chars" ["b" "a" "c"]} "not in order"]
   ["tokenizer" {"kind" "char"  "chars" "aab"}   "not in order"]])

(defn [(pytest.mark.parametrize #("key" "value" "why") BAD-META)]
      test-metadata-of-the-wrong-kind [ckpt key value why]
  (tampered ckpt (fn [head meta] (setv (get meta key) value)))
  (assert (in why (refusals ckpt))))

(defn [(pytest.mark.parametrize "key" ["stage" "config" "tokenizer" "step"])]
      test-metadata-that-lacks-a-key [ckpt key]
  (tampered ckpt (fn [head meta] (.pop meta key)))
  (assert (in f"lacks '{key}'" (refusals ckpt))))

(defn test-a-newer-format [ckpt]
  (tampered ckpt (fn [head meta] (setv (get meta "format") 2)) :honest False)
  (assert (in "format 2" (refusals ckpt)))
  (assert (in "update nanogpt-hy" (refusals ckpt))))

(defn test-a-header-edited-without-its-digest [ckpt]
  (tampered ckpt (fn [head meta] (setv (get meta "step") 8)) :honest False)
  (assert (in "does not match its own digest" (refusals ckpt))))

(defn [(pytest.mark.parametrize "name" ["n_embd" "n_layer" "n_head" "block_size" "vocab_size"])]
      test-sizes-that-are-lies [ckpt name]
  (tampered ckpt (fn [head meta]
                   (setv (get meta "tokenizer") {"kind" "bpe"}
                         (get meta "config" name) (** 10 9))))
  (setv before (time.monotonic))
  (assert (in f"claims {name} 1000000000" (refusals ckpt)))
  (assert (< (- (time.monotonic) before) 2)))

(setv W "model.1.weight")               ; F32 (3 2)
(setv BAD-ENTRIES
  [["shape" [2 2]                    "does not fit its bytes"]
   ["shape" [(** 10 9) (** 10 9)]    "impossibly large"]
   ["shape" [0 (** 2 62)]            "impossibly large"]
   ["shape" [-3 -2]                  "no list of"]
   ["shape" [3.0 2]                  "no list of"]
   ["shape" 6                        "no list of"]
   ["shape" (* [1] 9)                "no list of"]
   ["dtype" "F8_E4M3"                "none of F64"]
   ["dtype" ["F32"]                  "none of F64"]
   ["dtype" (* "F" 1000)             "none of F64"]
   ["dtype" "F64"                    "does not fit its bytes"]
   ["data_offsets" [24 0]            "does not fit its bytes"]
   ["data_offsets" [0 24]            "is damaged"]
   ["data_offsets" [(** 10 9) (+ (** 10 9) 24)]  "is damaged"]
   ["data_offsets" [-24 0]           "not two whole numbers"]
   ["data_offsets" [0]               "not two whole numbers"]
   ["data_offsets" [(** 10 30) (** 10 30)]       "not two whole numbers"]
   ["more" 1                         "or more than these"]])

(defn [(pytest.mark.parametrize #("key" "value" "why") BAD-ENTRIES)]
      test-tensors-that-are-lies [ckpt key value why]
  (tampered ckpt (fn [head meta] (setv (get head W key) value)) :honest False)
  (assert (in why (refusals ckpt)))
  (assert (in why (refusal header ckpt))))

(defn test-overlapping-tensors [ckpt]
  (tampered ckpt (fn [head meta]
                   (setv (get head W) {"dtype" "F32"  "shape" [3 2]
                                       "data_offsets" (get head "model.0.weight" "data_offsets")})))
  (assert (in "is damaged" (refusals ckpt))))

(defn test-an-entry-that-is-no-object [ckpt]
  (for [entry [None 1 "x" [] {} {"dtype" "F32"}]]
    (tampered ckpt (fn [head meta] (setv (get head W) entry)))
    (assert (in "no dtype, shape and data_offsets" (refusals ckpt)))))

(defn test-metadata-that-is-no-text [ckpt]
  (setv [head _ data] (apart ckpt))
  (for [notes [None [] {"nanogpt_hy" {}} {"nanogpt_hy" 1}]]
    (together ckpt {#** head "__metadata__" notes} None data False)
    (assert (in "metadata that is not text" (refusals ckpt)))))

(defn test-headers-that-are-no-honest-json [tmp-path]
  (setv path  (/ tmp-path "x")
        entry "\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}")
  (for [[text why] [["{" "is not a .safetensors file"]
                    ["{]" "cannot be read"]
                    [(+ "{" entry "," entry "}") "comes twice"]
                    [(+ "{\"a\":" (* "[" 200,000)) "nested too deeply"]
                    [(.replace (+ "{" entry "}") "4]" "NaN]") "not a finite number"]
                    [b"{\"\xff\":1}" "cannot be read"]]]
    (.write-bytes path (framed text b"1234"))
    (assert (in why (refusals path)))))

(defn test-the-names-in-a-message-are-harmless [ckpt]
  (tampered ckpt (fn [head meta] (setv (get head (* "\u001b[31m\n" 1000)) {})))
  (setv text (refusals ckpt))
  (assert (not-in "\u001b" text)))

(defn test-weights-that-are-no-numbers [tmp-path]
  (for [bad ["nan" "inf" "-inf"]]
    (setv path (saved tmp-path {#** TENSORS "model.0.weight" (torch.tensor [1.0 (float bad)])}))
    (setv text (refusal load-checkpoint path))
    (assert (in "not finite, in 'model.0.weight'" text))))

(defn [(settings :deadline None :max-examples 300) (given (st.data))]
      test-bits-that-fall-over-in-the-header [tmp-path-factory data]
  (setv folder (.mktemp tmp-path-factory "flip")
        path   (saved folder)
        bytes  (bytearray (.read-bytes path))
        end    (+ 8 (int.from-bytes (cut bytes 8) "little"))
        before (load-checkpoint path))
  (for [place (.draw data (st.lists (st.integers 0 (- end 1)) :min-size 1 :max-size 4))]
    (setv (get bytes place) (^ (get bytes place) (.draw data (st.integers 1 255)))))
  (.write-bytes path bytes)
  (try
    (setv after (load-checkpoint path))
    (assert (same (get before 0) (get after 0)))
    (assert (= (get before 1) (get after 1)))
    (except [e RequestError]
      (assert (not-in "\n" (str e))))))

;; Weights into models

(defn test-restore-model [ckpt]
  (setv [tensors _] (load-checkpoint ckpt)
        model       (restore-model make tensors))
  (assert (same (.state-dict model) (dfor [name t] (.items TENSORS)
                                          :if (.startswith name "model.")
                                          (cut name 6 None) t)))
  (assert (all (gfor p (.parameters model) p.requires-grad))))

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
        wrong       {#** tensors  "model.0.weight" (torch.zeros 3 2 :dtype torch.int64)}
        no-bias     (nn.Sequential (nn.Embedding 3 2) (nn.Linear 2 3 :bias False)))
  (assert (in "'0.weight' is of the kind torch.int64 instead of torch.float32"
              (refusal load-weights (make) wrong)))
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
  (setv text (refusal check-shapes (dfor i (range 6) f"w{i}" #(2)) {"w0" #(2)  "w1" #(3)  "x" #()}))
  (assert (in "'w2' is missing; 'w3' is missing; 'w4' is missing; and 3 more" text)))

(defn test-a-tampered-shape-that-fits-its-bytes [ckpt]
  (tampered ckpt (fn [head meta] (setv (get head W "shape") [2 3])))
  (setv [tensors _] (load-checkpoint ckpt))
  (assert (in "'1.weight' has the shape [2, 3] instead of [3, 2]"
              (refusal load-weights (make) tensors))))

;; Writing goes well or not at all

(defn the-only-file [path]
  (assert (= [path] (list (.iterdir path.parent)))))

(defn test-write-atomic-text-and-bytes [tmp-path]
  (setv path (/ tmp-path "config.toml"))
  (write-atomic path "größe = 1\r\n")
  (assert (= (.read-bytes path) (.encode "größe = 1\r\n")))
  (write-atomic (str path) b"\x00\x01")
  (assert (= (.read-bytes path) b"\x00\x01"))
  (the-only-file path))

(defn failure [path #* args]
  (with [caught (pytest.raises WorkError)]
    (save-checkpoint path #* args))
  (assert (not-in "\n" (str caught.value)))
  (assert (in (str path) (str caught.value)))
  (str caught.value))

(defn [(pytest.mark.parametrize "name" ["fsync" "open" "replace"])]
      test-a-system-that-refuses [ckpt monkeypatch name]
  (setv before (.read-bytes ckpt))
  (defn full [#* args #** kw]
    (raise (OSError errno.ENOSPC "No space left on device")))
  (with [patch (.context monkeypatch)]
    (.setattr patch os name full)
    (setv text (failure ckpt TENSORS {#** META "step" 8})))
  (assert (in "No space left on device" text))
  (assert (in "the older one is still there" text))
  (assert (= before (.read-bytes ckpt)))
  (the-only-file ckpt))

(defn test-a-file-that-the-disk-has-no-room-for [ckpt]
  "The limit on file sizes stands in for a full disk: the system itself stops the write halfway."
  (setv before (.read-bytes ckpt)
        limits (resource.getrlimit resource.RLIMIT-FSIZE))
  (resource.setrlimit resource.RLIMIT-FSIZE #(100,000 (get limits 1)))
  (try
    (setv text (failure ckpt {"model.a" (torch.zeros 100,000)} META))
    (finally (resource.setrlimit resource.RLIMIT-FSIZE limits)))
  (assert (in "still there" text))
  (assert (= before (.read-bytes ckpt)))
  (the-only-file ckpt))

(defn test-folders-that-cannot-be-written-to [tmp-path ckpt]
  (for [path [(/ tmp-path "no" "x") (/ ckpt "x") (/ tmp-path (* "n" 250))]]
    (assert (not-in "still there" (failure path TENSORS META)))))

(defn test-ctrl-c-leaves-nothing-behind [ckpt monkeypatch]
  (defn interrupted [handle]
    (raise KeyboardInterrupt))
  (with [patch (.context monkeypatch)]
    (.setattr patch os "fsync" interrupted)
    (with [(pytest.raises KeyboardInterrupt)]
      (save-checkpoint ckpt {} META)))
  (the-only-file ckpt)
  (assert (= 7 (get (read-meta ckpt) "step"))))

(defn test-what-a-kill-left-behind-is-swept-up-in-time [ckpt]
  (setv old (/ ckpt.parent f".{ckpt.name}.0123456789abcdef.tmp")
        new (/ ckpt.parent f".{ckpt.name}.fedcba9876543210.tmp"))
  (.touch old)
  (.touch new)
  (os.utime old #(1000 1000))
  (save-checkpoint ckpt TENSORS META)
  (assert (= (set (.iterdir ckpt.parent)) #{ckpt new})))

(defn save-for-ever [path]
  "Save checkpoint after checkpoint, each one filled with the number of its step."
  (setv step 0)
  (while True
    (setv step (+ step 1))
    (save-checkpoint path {"model.w" (torch.full #(300 1000) (float step))}
                     {#** META  "step" step})))

(defn test-kill-9-at-any-moment-leaves-a-whole-checkpoint [tmp-path]
  (setv path  (/ tmp-path "last.safetensors")
        dice  (random.Random 1)
        steps [])
  (save-checkpoint path {"model.w" (torch.zeros 300 1000)} {#** META "step" 0})
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
    (assert (.all (= (get tensors "model.w") (get meta "step"))))
    (.append steps (get meta "step")))
  (assert (> (max steps) 0)))
