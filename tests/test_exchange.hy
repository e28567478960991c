"To nanoGPT and Hugging Face and back: the same logits; strangers' files are refused in one line,
and nothing in them runs."

(eval-when-compile
  (require hyrule [ncut]))
(import  dataclasses [asdict replace]
         json
         os
         pickle
         shutil
         zipfile
         pathlib [Path]
         pytest
         safetensors.torch :as safetensors
         torch
         torch.nn :as nn
         torch.testing [assert-close]
         transformers [AutoTokenizer GPT2Config GPT2LMHeadModel]
         nanogpt-hy.config [GPTConfig]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.checkpoints.checkpoint [load-checkpoint newest-checkpoint
                                                save-checkpoint]
         nanogpt-hy.lab.checkpoints.trained [open-model]
         nanogpt-hy.lab.data.tokenizers [make-tokenizer]
         nanogpt-hy.lab.exchange.exchange [export-checkpoint import-checkpoint]
         nanogpt-hy.lab.exchange.huggingface [huggingface-config]
         nanogpt-hy.lab.exchange.nanogpt [plain-pickle read-words]
         nanogpt-hy.lab.exchange.plain-gpt2 [folded]
         nanogpt-hy.ladder [build-model])

(setv TEXT  (* "To be, or not to be:  that's the question.\n\tÖl?\r\n" 4)
      WORDS (make-tokenizer "char" TEXT)
      BPE   (make-tokenizer "bpe:290" TEXT)
      SMALL (GPTConfig :vocab-size WORDS.vocab-size :block-size 16 :n-layer 2 :n-head 2 :n-embd 8))

(defn shaken [model [spread 0.3]]
  "MODEL with all weights from N(0, SPREAD), biases and layer norms too, so that each one matters."
  (for [weight (.parameters model)]
    (nn.init.normal_ weight :std spread))
  (.eval model))

(defn saved [folder * [stage "fast"] [tokenizer WORDS] #** changes]
  "-> Path of a new checkpoint: SMALL with CHANGES, and random weights."
  (setv c     (replace SMALL :vocab-size tokenizer.vocab-size #** changes)
        model (shaken (build-model stage c))
        path  (/ folder "best.safetensors"))
  (.mkdir folder :parents True :exist-ok True)
  (save-checkpoint path (dfor  [name t] (.items (.state-dict model))  f"model.{name}" t)
                   {"stage" stage  "config" (asdict c)  "tokenizer" (.state tokenizer)
                    "step" 70  "losses" {"best" 1.25}})
  path)

(defn [(pytest.fixture :autouse True)] seed []
  (torch.manual-seed 5)
  None)

(defn [pytest.fixture] run [tmp-path]
  "The path of a checkpoint that nanoGPT could have made."
  (saved (/ tmp-path "run") :bias False))

(defn ids-for [c]
  (torch.randint c.vocab-size #(3 c.block-size)))

(defn same-model [one two]
  "Two Traineds agree: tokens and logits."
  (setv ids (ids-for one.config))
  (assert (= (.state one.tokenizer) (.state two.tokenizer)))
  (assert-close (two.model ids) (one.model ids) :rtol 1e-5 :atol 1e-5))

(defn refusal [f #* args #** kw]
  "The one line with which (F ARGS…) is refused."
  (with [caught (pytest.raises RequestError)]
    (f #* args #** kw))
  (setv text (str caught.value))
  (assert (not-in "\n" text))
  (assert (< (len text) 600))
  text)

(defn greedy [model ids n]
  "(1 T) -> (1 T+n): always the likeliest token."
  (for [_ (range n)]
    (setv best (.argmax (ncut (model ids) : -1 :) :dim -1 :keepdim True)
          ids  (torch.cat [ids best] :dim 1)))
  ids)

;;; Hugging Face

(defn theirs-in [folder]
  (.eval (GPT2LMHeadModel.from-pretrained folder)))

(defn gpt2-agrees [ours folder]
  "transformers' GPT-2 out of FOLDER gives the logits of OURS, a Trained, and the same greedy text."
  (setv theirs (theirs-in folder)
        ids    (ids-for ours.config)
        start  (ncut ids :1 :6))
  (with [_ (torch.no-grad)]
    (assert-close (. (theirs ids) logits) (ours.model ids) :rtol 1e-4 :atol 1e-5)
    (setv text (.generate theirs start :max-new-tokens 10 :do-sample False :pad-token-id 0
                          :eos-token-id None :attention-mask (torch.ones-like start))))
  (assert (= (.tolist text) (.tolist (greedy ours.model start 10)))))

(setv FORMS [#("fast" {})
             #("fast" {"bias" False})
             #("fast" {"tied" False})
             #("fast" {"tied" False  "bias" False})
             #("fast" {"activation" "gelu-tanh"})
             #("fast" {"activation" "relu"  "scale" "n-embd"})
             #("fast" {"dropout" 0.25  "n_layer" 1  "n_head" 4})
             #("gpt"  {})
             #("gpt"  {"scale" "n-embd"})
             #("gpt"  {"n_embd" 64})])

(defn [(pytest.mark.parametrize #("stage" "changes") FORMS)]
    test-hugging-face-and-back [tmp-path stage changes]
  (setv ours  (open-model (saved (/ tmp-path "run") :stage stage #** changes))
        out   (/ tmp-path "out")
        notes (export-checkpoint ours.path "huggingface" out))
  (assert (all (gfor  note notes  (not-in "\n" note))))
  (gpt2-agrees ours out)
  (setv back (open-model (import-checkpoint out (/ tmp-path "back"))))
  (same-model ours back)
  (gpt2-agrees back out)
  (when (= [stage ours.config.scale ours.config.tied] ["fast" "head-size" True])
    (assert (= back.config ours.config))))

(defn test-what-changes-is-said [tmp-path]
  (defn notes-of [name #** changes]
    (setv path (saved (/ tmp-path name) #** changes))
    (.join "\n" (export-checkpoint path "huggingface" (/ tmp-path (+ name "-out")))))
  (assert (in "here they are 0" (notes-of "a" :bias False)))
  (assert (in "last layer norm" (notes-of "b" :stage "gpt" :n-embd 64)))
  (assert (in "16 channels wide instead of 8" (notes-of "c" :stage "gpt")))
  (assert (in "slip" (notes-of "d" :scale "n-embd")))
  (assert (not-in "is" (.split (notes-of "e")))))

(defn test-a-bias-is-not-folded-into-large-numbers []
  "Small differences of large numbers would be left, and float32 rounds those."
  (assert-close (folded (torch.tensor [[0.5]]) (torch.tensor [1.0])) (torch.tensor [2.0]))
  (assert (is (folded (torch.tensor [[1e-3]]) (torch.tensor [1.0])) None)))

(defn [(pytest.mark.parametrize "kind" ["char" "byte" "bpe:290"])]
    test-their-tokenizer-is-ours [tmp-path kind]
  (setv ours (open-model (saved (/ tmp-path "run") :tokenizer (make-tokenizer kind TEXT))))
  (export-checkpoint ours.path "huggingface" (/ tmp-path "out"))
  (setv theirs (AutoTokenizer.from-pretrained (/ tmp-path "out"))
        ids    (get (theirs TEXT) "input_ids"))
  (assert (= ids (.encode ours.tokenizer TEXT)))
  (assert (= (.decode theirs ids) TEXT))
  (setv back (. (open-model (import-checkpoint (/ tmp-path "out") (/ tmp-path "back"))) tokenizer))
  (assert (= (.encode back TEXT) ids))
  (assert (= (.decode back ids) TEXT)))

;;; A GPT-2 that a user has

(setv END BPE.vocab-size)

(defn old-files [folder]
  "vocab.json and merges.txt, as OpenAI published GPT-2's."
  (setv model (get (json.loads BPE.json) "model"))
  (.write-text (/ folder "vocab.json") (json.dumps {#** (get model "vocab")  "<|endoftext|>" END}))
  (.write-text (/ folder "merges.txt") :encoding "utf-8"
    (.join "\n" ["#version: 0.2" #* (gfor  [a b] (get model "merges") f"{a} {b}") ""])))

(defn new-file [folder]
  "tokenizer.json, as transformers writes it for GPT-2."
  (import transformers [GPT2Tokenizer])
  (old-files folder)
  (.save-pretrained (GPT2Tokenizer.from-pretrained folder) folder)
  (for [name ["vocab.json" "merges.txt"]]
    (.unlink (/ folder name) :missing-ok True)))

(defn gpt2-in [folder [words new-file] #** settings]
  "-> a random GPT-2 of transformers, saved in the FOLDER with its tokenizer's files."
  (setv model (.eval (shaken (GPT2LMHeadModel
                (GPT2Config #** {"n_positions" 16  "n_embd" 8  "n_layer" 2  "n_head" 2
                                 "vocab_size" (+ END 1)  "bos_token_id" END  "eos_token_id" END
                                 #** settings})))))
  (.mkdir folder :exist-ok True)
  (.save-pretrained model folder)
  (words folder)
  model)

(defn agrees-with-gpt2 [path theirs]
  "-> the Trained at PATH, once its logits are those of THEIRS."
  (setv ours (open-model path)
        ids  (ids-for ours.config))
  (with [_ (torch.no-grad)]
    (assert-close (ours.model ids) (. (theirs ids) logits) :rtol 1e-4 :atol 1e-5))
  ours)

(defn [(pytest.mark.parametrize "words" [old-files new-file])
       (pytest.mark.parametrize "settings" [{} {"activation_function" "gelu"}
                                            {"tie_word_embeddings" False}])]
    test-a-gpt2-loads-and-speaks [tmp-path words settings]
  (setv theirs (gpt2-in (/ tmp-path "gpt2") words #** settings)
        path   (import-checkpoint (/ tmp-path "gpt2") (/ tmp-path "run"))
        ours   (agrees-with-gpt2 path theirs)
        reader (AutoTokenizer.from-pretrained (/ tmp-path "gpt2")))
  (assert (= path (/ tmp-path "run" "best.safetensors")))
  (assert (= (.encode ours.tokenizer TEXT) (get (reader TEXT) "input_ids")))
  (assert (= (.encode ours.tokenizer "<|endoftext|>") [END]))
  (assert (= ours.config.activation
             (if (= (.get settings "activation_function") "gelu") "gelu" "gelu-tanh")))
  (setv notes (export-checkpoint path "huggingface" (/ tmp-path "out")))
  (gpt2-agrees ours (/ tmp-path "out"))
  (assert (all (gfor  note notes  (.startswith note "wrote "))))
  (assert (= END (. (AutoTokenizer.from-pretrained (/ tmp-path "out")) eos-token-id))))

(defn rewrite [folder change]
  "Let CHANGE, a function of {name: tensor}, make other tensors of FOLDER's."
  (setv path (/ folder "model.safetensors"))
  (safetensors.save-file (change (safetensors.load-file path)) path {"format" "pt"}))

(defn without-prefix [tensors]
  "As on the hub: no prefix, and the causal masks with them."
  (| (dfor  [name t] (.items tensors)  (.removeprefix name "transformer.") t)
     {"h.0.attn.bias" (.view (.tril (torch.ones 16 16)) 1 1 16 16)
      "h.0.attn.masked_bias" (torch.tensor -1e4)}))

(defn with-head [tensors]
  "With the tied lm-head written out."
  (| tensors {"lm_head.weight" (.clone (get tensors "transformer.wte.weight"))}))

(defn in-halves [tensors]
  (dfor  [name t] (.items tensors)  name (.bfloat16 t)))

(defn [(pytest.mark.parametrize "change" [without-prefix with-head])]
    test-other-ways-to-write-it [tmp-path change]
  (setv theirs (gpt2-in (/ tmp-path "gpt2")))
  (rewrite (/ tmp-path "gpt2") change)
  (setv ours (agrees-with-gpt2 (import-checkpoint (/ tmp-path "gpt2") (/ tmp-path "run")) theirs))
  (assert ours.config.tied))

(defn test-a-tied-head-with-a-bias-becomes-one-of-its-own [tmp-path]
  "Here a tied head has no place for it."
  (setv theirs (gpt2-in (/ tmp-path "gpt2"))
        bias   (torch.randn (+ END 1)))
  (rewrite (/ tmp-path "gpt2") (fn [tensors] (| (with-head tensors) {"lm_head.bias" bias})))
  (setv ours (open-model (import-checkpoint (/ tmp-path "gpt2") (/ tmp-path "run")))
        ids  (ids-for ours.config))
  (assert (not ours.config.tied))
  (with [_ (torch.no-grad)]
    (assert-close (ours.model ids) (+ (. (theirs ids) logits) bias) :rtol 1e-4 :atol 1e-5)))

(defn test-bfloat16-becomes-float32 [tmp-path]
  (gpt2-in (/ tmp-path "gpt2"))
  (rewrite (/ tmp-path "gpt2") in-halves)
  (setv theirs (.float (theirs-in (/ tmp-path "gpt2"))))
  (agrees-with-gpt2 (import-checkpoint (/ tmp-path "gpt2") (/ tmp-path "run")) theirs)
  None)

(defn test-a-bias-that-somebody-has-trained-since-stays [tmp-path]
  "Our own export says in its config.json that there were none."
  (setv out (/ tmp-path "out"))
  (export-checkpoint (saved (/ tmp-path "run") :bias False) "huggingface" out)
  (rewrite out (replaced "transformer.h.1.mlp.c_fc.bias" torch.ones-like))
  (agrees-with-gpt2 (import-checkpoint out (/ tmp-path "back")) (theirs-in out))
  None)

(defn test-the-older-name-of-the-context [tmp-path]
  (setv theirs (gpt2-in (/ tmp-path "gpt2"))
        path   (/ tmp-path "gpt2" "config.json")
        values (json.loads (.read-text path)))
  (setv (get values "n_ctx") (.pop values "n_positions"))
  (.write-text path (json.dumps values))
  (agrees-with-gpt2 (import-checkpoint (/ tmp-path "gpt2") (/ tmp-path "run")) theirs)
  None)

(defn test-a-dropout-that-cannot-be-is-none [tmp-path]
  "It has no part in what the model says."
  (gpt2-in (/ tmp-path "gpt2"))
  (setv path   (/ tmp-path "gpt2" "config.json")
        values (json.loads (.read-text path)))
  (for [[there here] [[0.25 0.25] [0 0.0] [1.0 0.0] [-0.1 0.0] ["much" 0.0] [None 0.0] [True 0.0]]]
    (.write-text path (json.dumps (| values {"resid_pdrop" there})))
    (setv ours (open-model (import-checkpoint (/ tmp-path "gpt2") (/ tmp-path "run"))))
    (assert (= ours.config.dropout here) there)
    (shutil.rmtree (/ tmp-path "run"))))

(defn sharded [folder]
  "-> a GPT-2 in many files, and their index as a dict."
  (setv theirs (gpt2-in folder))
  (.unlink (/ folder "model.safetensors"))
  (.save-pretrained theirs folder :max-shard-size "4KB")
  [theirs (json.loads (.read-text (/ folder "model.safetensors.index.json")))])

(defn test-shards [tmp-path]
  (setv [theirs index] (sharded (/ tmp-path "gpt2")))
  (assert (> (len (set (.values (get index "weight_map")))) 1))
  (agrees-with-gpt2 (import-checkpoint (/ tmp-path "gpt2") (/ tmp-path "run")) theirs)
  None)

(defn [(pytest.mark.parametrize "file" ["../model.safetensors" "/etc/passwd" "" 7 "none.safetensors"
                                        ".hidden.safetensors" "a\nb.safetensors"])]
    test-shards-stay-in-their-folder [tmp-path file]
  (setv [_ index] (sharded (/ tmp-path "gpt2")))
  (setv (get index "weight_map" "transformer.wpe.weight") file)
  (.write-text (/ tmp-path "gpt2" "model.safetensors.index.json") (json.dumps index))
  (assert (refusal import-checkpoint (/ tmp-path "gpt2") (/ tmp-path "run"))))

(defn test-a-folder-named-like-a-shard-is-no-way-out [tmp-path]
  (setv [_ index] (sharded (/ tmp-path "gpt2"))
        places    (get index "weight_map")
        shard     (get places "transformer.wpe.weight"))
  (.mkdir (/ tmp-path "gpt2" "a.safetensors"))
  (shutil.copy (/ tmp-path "gpt2" shard) tmp-path)
  (setv (get places "transformer.wpe.weight") f"a.safetensors/../../{shard}")
  (.write-text (/ tmp-path "gpt2" "model.safetensors.index.json") (json.dumps index))
  (assert (in "which is not in its folder"
              (refusal import-checkpoint (/ tmp-path "gpt2") (/ tmp-path "run")))))

(defn test-a-shard-that-lacks-what-it-should-have [tmp-path]
  (setv [_ index] (sharded (/ tmp-path "gpt2"))
        places    (get index "weight_map"))
  (setv (get places "transformer.h.7.ln_1.weight") (get places "transformer.wpe.weight"))
  (.write-text (/ tmp-path "gpt2" "model.safetensors.index.json") (json.dumps index))
  (assert (in "h.7.ln_1" (refusal import-checkpoint (/ tmp-path "gpt2") (/ tmp-path "run")))))

(defn [(pytest.mark.parametrize #("name" "value") [
        #("model_type" "llama")                     #("activation_function" "silu")
        #("activation_function" ["gelu"])           #("layer_norm_epsilon" 1e-6)
        #("scale_attn_weights" False)               #("scale_attn_by_inverse_layer_idx" True)
        #("add_cross_attention" True)               #("n_inner" 12)
        #("vocab_size" "many")                      #("vocab_size" None)
        #("n_embd" 12)                              #("n_embd" [8])
        #("n_embd" (** 2 40))                       #("n_layer" 3)
        #("n_layer" 1)                              #("n_layer" (** 10 9))
        #("n_layer" -1)                             #("n_layer" 2.5)
        #("n_head" 3)                               #("n_head" 0)
        #("n_positions" 17)                         #("n_positions" (** 10 30))])]
    test-a-config-that-does-not-fit-is-refused [tmp-path name value]
  (gpt2-in (/ tmp-path "gpt2") old-files)
  (setv path   (/ tmp-path "gpt2" "config.json")
        config (json.loads (.read-text path)))
  (.write-text path (json.dumps (| config {name value})))
  (assert (in "gpt2" (refusal import-checkpoint (/ tmp-path "gpt2") (/ tmp-path "run"))))
  (assert (not (.exists (/ tmp-path "run")))))

(defn without [name]
  (fn [tensors] (dfor  [n t] (.items tensors)  :if (!= n name)  n t)))

(defn replaced [name make]
  (fn [tensors] (| tensors {name (make (get tensors name))})))

(defn test-a-head-that-is-missing-is-refused [tmp-path]
  "transformers would draw one by lot."
  (gpt2-in (/ tmp-path "gpt2") old-files)
  (setv path   (/ tmp-path "gpt2" "config.json")
        values (json.loads (.read-text path)))
  (.write-text path (json.dumps {#** values  "tie_word_embeddings" False}))
  (assert (in "no lm_head.weight" (refusal import-checkpoint (/ tmp-path "gpt2")
                                           (/ tmp-path "run")))))

(defn test-the-librarys-second-opinion-is-one-line [tmp-path]
  (gpt2-in (/ tmp-path "gpt2") old-files)
  (setv path (/ tmp-path "gpt2" "model.safetensors")
        data (.read-bytes path)
        size (int.from-bytes (cut data 8) "little")
        head (+ b"{\"__metadata__\":{\"x\":\"\\ud800\"}," (cut data 9 (+ 8 size))))
  (.write-bytes path (+ (.to-bytes (len head) 8 "little") head (cut data (+ 8 size) None)))
  (assert (in "cannot be read" (refusal import-checkpoint (/ tmp-path "gpt2")
                                        (/ tmp-path "run")))))

(defn [(pytest.mark.parametrize "change" [
        (without "transformer.wte.weight")
        (without "transformer.h.1.mlp.c_fc.bias")
        (fn [tensors] (| tensors {"score.weight" (torch.ones 2 8)}))
        (fn [tensors] (| tensors {"wpe.weight" (torch.ones 16 8)}))
        (fn [tensors] (| tensors {"lm_head.weight" (torch.ones 3 8)}))
        (replaced "transformer.wpe.weight" (fn [t] (* t (float "nan"))))
        (replaced "transformer.wpe.weight" (fn [t] (.long t)))
        (replaced "transformer.h.0.attn.c_attn.weight" (fn [t] (.contiguous t.mT)))])]
    test-weights-that-do-not-fit-are-refused [tmp-path change]
  (gpt2-in (/ tmp-path "gpt2") old-files)
  (rewrite (/ tmp-path "gpt2") change)
  (assert (refusal import-checkpoint (/ tmp-path "gpt2") (/ tmp-path "run")))
  (assert (not (.exists (/ tmp-path "run")))))

(defn [(pytest.mark.parametrize "name" ["config.json" "model.safetensors" "vocab.json"
                                        "merges.txt"])]
    test-missing-and-broken-files-are-refused [tmp-path name]
  (gpt2-in (/ tmp-path "gpt2") old-files)
  (setv path (/ tmp-path "gpt2" name)
        data (.read-bytes path))
  (for [part [b"" (cut data (// (len data) 2)) (+ b"\xff" data)]]
    (.write-bytes path part)
    (assert (refusal import-checkpoint (/ tmp-path "gpt2") (/ tmp-path "run"))))
  (.unlink path)
  (assert (refusal import-checkpoint (/ tmp-path "gpt2") (/ tmp-path "run"))))

(defn test-a-tokenizer-that-is-too-large-is-refused [tmp-path]
  (gpt2-in (/ tmp-path "gpt2") old-files :vocab-size 100)
  (assert (in "has 100 tokens, and the tokenizer"
              (refusal import-checkpoint (/ tmp-path "gpt2") (/ tmp-path "run")))))

;;; nanoGPT

(defn ckpt-of [path]
  (torch.load path :weights-only True))

(defn nanogpt-in [run folder]
  "-> the ckpt.pt that the checkpoint RUN becomes in FOLDER."
  (export-checkpoint run "nanogpt" folder)
  (/ folder "ckpt.pt"))

(defn rewritten [path change]
  "PATH, once CHANGE, a function, has changed the dict in it."
  (setv ckpt (ckpt-of path))
  (setv other (change ckpt))
  (torch.save (if (is other None) ckpt other) path)
  path)

(defn [(pytest.mark.parametrize "changes" [{} {"bias" False  "dropout" 0.1} {"scale" "n-embd"}])]
    test-nanogpt-and-back [tmp-path changes]
  (setv ours (open-model (saved (/ tmp-path "run") #** changes))
        path (nanogpt-in ours.path (/ tmp-path "out"))
        back (import-checkpoint path (/ tmp-path "back")))
  (same-model ours (open-model back))
  (assert (= (. (open-model back) config) (replace ours.config :scale "head-size")))
  (assert (= (get (. (open-model back) meta) "step") 70))
  (assert (= (get (. (open-model back) meta) "losses") {"best" 1.25})))

(defn test-where-no-loss-is-known-any-is-better [tmp-path run]
  "nanoGPT saves only what is better than the best_val_loss that it finds."
  (setv [tensors meta] (load-checkpoint run))
  (save-checkpoint run tensors {#** meta  "losses" {}})
  (assert (= (get (ckpt-of (nanogpt-in run (/ tmp-path "out"))) "best_val_loss") 1e9)))

(defn test-what-nanogpt-looks-for-is-there [tmp-path run]
  (setv ckpt (ckpt-of (nanogpt-in run (/ tmp-path "out")))
        meta (pickle.loads (.read-bytes (/ tmp-path "out" "meta.pkl"))))
  (assert (= (set ckpt) #{"model" "optimizer" "model_args" "iter_num" "best_val_loss" "config"}))
  (assert (= (get ckpt "model_args") {"vocab_size" WORDS.vocab-size  "block_size" 16  "n_layer" 2
                                      "n_head" 2  "n_embd" 8  "dropout" 0.0  "bias" False}))
  (assert (= (get ckpt "config" "dataset") "../out"))
  (assert (= (get ckpt "model" "lm_head.weight" #(0 0))
             (get ckpt "model" "transformer.wte.weight" #(0 0))))
  (assert (= (lfor  c TEXT  (get meta "stoi" c)) (.encode WORDS TEXT)))
  (assert (= (.join "" (gfor  id (.encode WORDS TEXT)  (get meta "itos" id))) TEXT))
  (assert (= (get meta "vocab_size") WORDS.vocab-size)))

(defn [(pytest.mark.parametrize "changes" [{"stage" "gpt"} {"activation" "relu"} {"tied" False}])]
    test-what-nanogpt-cannot-be-is-refused [tmp-path changes]
  (setv path (saved (/ tmp-path "run") #** changes))
  (assert (in "--to huggingface" (refusal export-checkpoint path "nanogpt" (/ tmp-path "out"))))
  (assert (not (.exists (/ tmp-path "out")))))

(defn compiled [ckpt]
  "As torch.compile names the weights, with the causal masks that older versions keep."
  (setv (get ckpt "model")
        (| (dfor  [name t] (.items (get ckpt "model")) f"_orig_mod.{name}" t)
           {"_orig_mod.transformer.h.0.attn.bias" (.view (.tril (torch.ones 16 16)) 1 1 16 16)})))

(defn older [ckpt]
  "Before there were model_args for bias and dropout, and the best loss was a tensor."
  (for [name ["bias" "dropout"]]
    (.pop (get ckpt "model_args") name))
  (setv (get ckpt "best_val_loss") (torch.tensor 1.25)))

(defn bare [ckpt]
  (for [name ["optimizer" "iter_num" "best_val_loss" "config"]]
    (.pop ckpt name)))

(defn [(pytest.mark.parametrize "change" [compiled older bare])]
    test-other-checkpoints-of-nanogpt [tmp-path run change]
  (setv path (rewritten (nanogpt-in run (/ tmp-path "out")) change))
  (same-model (open-model run) (open-model (import-checkpoint path (/ tmp-path "back")))))

(defn test-the-words-of-a-ckpt [tmp-path run monkeypatch]
  "From a text, a meta.pkl elsewhere, nanoGPT's data folder; else it asks for them."
  (setv path (nanogpt-in run (/ tmp-path "out"))
        meta (/ tmp-path "out" "meta.pkl")
        text (/ tmp-path "input.txt"))
  (.write-bytes text (.encode TEXT "utf-8"))
  (setv elsewhere (/ tmp-path "data" "poems"))
  (.mkdir elsewhere :parents True)
  (.rename meta (/ elsewhere "meta.pkl"))
  (defn imported [name #** how]
    (same-model (open-model run) (open-model (import-checkpoint path (/ tmp-path name) #** how))))
  (imported "a" :text text)
  (imported "b" :tokenizer (/ elsewhere "meta.pkl"))
  (setv line (refusal import-checkpoint path (/ tmp-path "c")))
  (assert (in "--text" line))
  (assert (in "--tokenizer" line))
  (rewritten path (fn [ckpt] (setv (get ckpt "config") {"dataset" "poems"})))
  (imported "c")
  (rewritten path (fn [ckpt] (setv (get ckpt "config") {"dataset" "../data/poems"})))
  (assert (in "has no meta.pkl" (refusal import-checkpoint path (/ tmp-path "d"))))
  (assert (refusal import-checkpoint path (/ tmp-path "d") :text text :tokenizer "byte"))
  (.write-text text "another text")
  (assert (in "--text" (refusal import-checkpoint path (/ tmp-path "d") :text text))))

(defn test-a-nanogpt-of-gpt2s-words [tmp-path]
  "Its table has rows to spare."
  (setv path (saved (/ tmp-path "run") :tokenizer BPE)
        ckpt (nanogpt-in path (/ tmp-path "out")))
  (same-model (open-model path) (open-model (import-checkpoint ckpt (/ tmp-path "a"))))
  (.unlink (/ tmp-path "out" "tokenizer.json"))
  (old-files (/ tmp-path "run"))
  (defn more-rows [ckpt]
    (for [name ["transformer.wte.weight" "lm_head.weight"]]
      (setv (get ckpt "model" name) (torch.cat [(get ckpt "model" name) (torch.zeros 14 8)])))
    (setv (get ckpt "model_args" "vocab_size") (+ BPE.vocab-size 14)))
  (rewritten ckpt more-rows)
  (setv back (open-model (import-checkpoint ckpt (/ tmp-path "b") :tokenizer (/ tmp-path "run"))))
  (assert (= back.config.vocab-size (+ BPE.vocab-size 14)))
  (assert (= (.encode back.tokenizer TEXT) (.encode BPE TEXT))))

;;; Where it goes

(defn test-an-import-is-the-newest-run [tmp-path run monkeypatch]
  (nanogpt-in run (/ tmp-path "out-poems"))
  (monkeypatch.chdir tmp-path)
  (setv path (import-checkpoint "out-poems"))
  (assert (= path (Path "runs/out-poems/best.safetensors")))
  (assert (= (newest-checkpoint) path))
  (assert (= (import-checkpoint "out-poems/ckpt.pt") (Path "runs/out-poems-2/best.safetensors")))
  (assert (= (import-checkpoint "out-poems" "mine.safetensors") (Path "mine.safetensors"))))

(defn test-a-dot-in-a-models-name-stays [tmp-path run monkeypatch]
  (.chdir monkeypatch tmp-path)
  (export-checkpoint run "huggingface" (/ tmp-path "gpt2-1.5b"))
  (assert (= (str (import-checkpoint "gpt2-1.5b")) "runs/gpt2-1.5b/best.safetensors")))

(defn test-nothing-is-overwritten [tmp-path run]
  (setv path (nanogpt-in run (/ tmp-path "out")))
  (assert (in "is there already" (refusal export-checkpoint run "nanogpt" (/ tmp-path "out"))))
  (assert (in "is there already" (refusal import-checkpoint path run.parent)))
  (assert (in "is there already" (refusal import-checkpoint path run)))
  (.rename run (/ run.parent "last.safetensors"))        ; a run that has no best one yet
  (assert (in "last.safetensors is there already" (refusal import-checkpoint path run.parent))))

(defn test-wrong-requests [tmp-path run]
  (assert (in "nanogpt or huggingface" (refusal export-checkpoint run "onnx" (/ tmp-path "out"))))
  (assert (refusal export-checkpoint (/ tmp-path "none") "nanogpt" (/ tmp-path "out")))
  (assert (in "does not exist" (refusal import-checkpoint (/ tmp-path "none") (/ tmp-path "x"))))
  (assert (in "holds no config.json" (refusal import-checkpoint tmp-path (/ tmp-path "x"))))
  (assert (in "needs no import" (refusal import-checkpoint run (/ tmp-path "x"))))
  (setv stage (saved (/ tmp-path "head") :stage "head"))
  (assert (in "stage head" (refusal export-checkpoint stage "nanogpt" (/ tmp-path "out")))))

(defn test-a-file-in-the-way-is-an-error [tmp-path run]
  (.write-text (/ tmp-path "file") "")
  (assert (in "Not a directory"
              (refusal export-checkpoint run "huggingface" (/ tmp-path "file" "out"))))
  (setv path (nanogpt-in run (/ tmp-path "out")))
  (for [name ["file" "file/run"]]
    (assert (in "director" (.lower (refusal import-checkpoint path (/ tmp-path name)))))))

(defn test-a-pipe-is-no-ckpt [tmp-path]
  (os.mkfifo (/ tmp-path "ckpt"))
  (assert (in "neither file" (refusal import-checkpoint (/ tmp-path "ckpt") (/ tmp-path "x")))))

(defn test-a-tokenizer-that-is-not-there [tmp-path run]
  (setv path (nanogpt-in run (/ tmp-path "out")))
  (for [name ["char" "bpe:300" "no/such"]]
    (setv line (refusal import-checkpoint path (/ tmp-path "x") :tokenizer name))
    (assert (in f"there is no tokenizer '{name}'" line))
    (assert (in "--text" line))))

;;; Malice

(defclass Touch []
  "Pickled, it asks for a file to be made by whoever loads it."
  (defn __init__ [self path]
    (setv self.path path))
  (defn __reduce__ [self]
    #(os.mkdir #((str self.path)))))

(defn [(pytest.mark.parametrize "protocol" (range 6))]
    test-a-malicious-meta-runs-nothing [tmp-path run protocol]
  (setv path    (nanogpt-in run (/ tmp-path "out"))
        meta    (/ tmp-path "out" "meta.pkl")
        touched (/ tmp-path "touched")
        malice  (pickle.dumps {"stoi" {"a" 0}  "itos" (Touch touched)} :protocol protocol))
  (.write-bytes meta malice)
  (assert (in "meta.pkl is no pickle of plain dicts"
              (refusal import-checkpoint path (/ tmp-path "back"))))
  (assert (refusal read-words meta))
  (assert (not (.exists touched)))
  (pickle.loads malice)
  (assert (.exists touched)))             ; it would have

(defn test-a-malicious-ckpt-runs-nothing [tmp-path run]
  (setv path    (nanogpt-in run (/ tmp-path "out"))
        touched (/ tmp-path "touched"))
  (rewritten path (fn [ckpt] (setv (get ckpt "iter_num") (Touch touched))))
  (assert (in "cannot be read as plain tensors"
              (refusal import-checkpoint path (/ tmp-path "back"))))
  (assert (not (.exists touched)))
  (.write-bytes path (pickle.dumps (Touch touched)))
  (assert (refusal import-checkpoint path (/ tmp-path "back")))
  (assert (not (.exists touched))))

(defn [(pytest.mark.parametrize "data" [
        b"" b"." b"\x80\x04N." b"\x80\x04]." b"\x80\x04}" b"not a pickle" (pickle.dumps [1 2])
        (pickle.dumps {"stoi" {"a" 1}}) (pickle.dumps {"stoi" {"ab" 0}})
        (pickle.dumps {"stoi" {"b" 0  "a" 1}}) (pickle.dumps {"stoi" {0 0}})
        (pickle.dumps {"itos" {0 "a"}}) (pickle.dumps {"stoi" None})
        b"\x80\x04}r\xff\xff\xff\x7f."                        ; a place for 16 GB of memory
        b"\x80\x04X\xff\xff\xff\x7fa."                        ; a text of 2 GB
        b"\x80\x04}}}s."                                      ; a dict for a key
        (+ b"\x80\x04" (* b"(" 100,000) b".")])]
    test-a-meta-that-is-none-is-refused [tmp-path data]
  (setv path (/ tmp-path "meta.pkl"))
  (.write-bytes path data)
  (assert (refusal read-words path)))

(defn test-a-place-far-behind-is-refused-before-anybody-makes-room-for-it []
  (assert (in "LONG_BINPUT" (refusal plain-pickle b"\x80\x02}r\xff\xff\x00\x00." "it"))))

(defn test-plain-pickles-of-every-protocol []
  (setv value {"vocab_size" 2  "itos" {0 "\n"  1 "é"}  "stoi" {"\n" 0  "é" 1  "🐻" 300}})
  (for [protocol (range 2 6)]
    (assert (= (plain-pickle (pickle.dumps value :protocol protocol) "it") value))))

(defn args [#** changes]
  (fn [ckpt] (.update (get ckpt "model_args") changes)))

(defn weight [name make]
  (fn [ckpt] (setv (get ckpt "model" name) (make (get ckpt "model" name)))))

(setv WPE "transformer.wpe.weight"
      LIES {"no model"      (fn [ckpt] (.pop ckpt "model"))
            "no args"       (fn [ckpt] (.pop ckpt "model_args"))
            "a list"        (fn [ckpt] [1 2])
            "a tensor"      (fn [ckpt] (torch.ones 3))
            "args a list"   (fn [ckpt] (setv (get ckpt "model_args") [1]))
            "no n_layer"    (fn [ckpt] (.pop (get ckpt "model_args") "n_layer"))
            "more layers"   (args :n-layer 3)
            "many layers"   (args :n-layer (** 10 9))
            "layers a text" (args :n-layer "2")
            "no layers"     (args :n-layer 0)
            "wide"          (args :n-embd (** 2 40))
            "long"          (args :block-size (** 10 30))
            "words"         (args :vocab-size (** 10 6))
            "heads"         (args :n-head 3)
            "no heads"      (args :n-head 0)
            "dropout"       (args :dropout 7.0)
            "dropout nan"   (args :dropout (float "nan"))
            "bias"          (args :bias True)
            "bias a number" (args :bias 1)
            "another key"   (args :rotary True)
            "a key 7"       (fn [ckpt] (setv (get ckpt "model_args" 7) 7))
            "missing"       (fn [ckpt] (del (get ckpt "model" WPE)))
            "no wte"        (fn [ckpt] (del (get ckpt "model" "transformer.wte.weight")))
            "unexpected"    (fn [ckpt] (setv (get ckpt "model" "extra") (torch.ones 1)))
            "name 7"        (fn [ckpt] (setv (get ckpt "model" 7) (torch.ones 1)))
            "no tensor"     (fn [ckpt] (setv (get ckpt "model" WPE) 7))
            "twice"         (fn [ckpt] (setv (get ckpt "model" f"_orig_mod.{WPE}") (torch.ones 1)))
            "shape"         (weight WPE (fn [t] (.contiguous t.mT)))
            "head a number" (weight "lm_head.weight" (fn [t] (get t 0 0)))
            "odd floats"    (weight WPE (fn [t] (.to t torch.float8-e5m2)))
            "nan"           (weight WPE (fn [t] (* t (float "nan"))))
            "whole numbers" (weight WPE (fn [t] (.long t)))
            "sparse"        (weight WPE (fn [t] (.to-sparse t)))
            "meta"          (weight WPE (fn [t] (.to t "meta")))
            "stretched"     (weight WPE (fn [t] (.expand (torch.ones 1) (** 10 13))))
            "stretched 2"   (weight WPE (fn [t] (.expand (torch.ones 1 1) (** 10 6) (** 10 6))))})

(defn [(pytest.mark.parametrize "lie" (list LIES))]
    test-a-ckpt-that-lies-is-refused [tmp-path run lie]
  (setv path (rewritten (nanogpt-in run (/ tmp-path "out")) (get LIES lie))
        said (refusal import-checkpoint path (/ tmp-path "back")))
  (assert (in "ckpt.pt" said))
  (assert (not-in "update nanogpt-hy" said))               ; which would not help
  (assert (not (.exists (/ tmp-path "back")))))

(defn test-a-ckpt-cut-short-is-refused [tmp-path run]
  (setv path (nanogpt-in run (/ tmp-path "out"))
        data (.read-bytes path))
  (for [size [0 1 100 (// (len data) 2) (- (len data) 10) (- (len data) 1)]]
    (.write-bytes path (cut data size))
    (assert (in "ckpt.pt" (refusal import-checkpoint path (/ tmp-path "back"))))))

(defn test-a-zip-bomb-is-refused [tmp-path]
  (setv path (/ tmp-path "ckpt.pt"))
  (with [file (zipfile.ZipFile path "w" zipfile.ZIP-DEFLATED)]
    (.writestr file "archive/data.pkl" (bytes 10,000,000)))
  (assert (in "compressed" (refusal import-checkpoint path (/ tmp-path "back")))))

(defn test-parts-that-overlap-or-are-compressed-are-refused [tmp-path]
  "Even where torch could read them."
  (setv path (/ tmp-path "ckpt.pt"))
  (with [file (zipfile.ZipFile path "w")]
    (.writestr file "archive/data.pkl" (bytes 10,000))
    (.append file.filelist (get file.filelist 0)))         ; one place for two parts
  (assert (in "overlapping" (refusal import-checkpoint path (/ tmp-path "back"))))
  (with [file (zipfile.ZipFile path "w" zipfile.ZIP-DEFLATED)]
    (.writestr file "archive/data.pkl" (os.urandom 1000)))
  (assert (in "compressed" (refusal import-checkpoint path (/ tmp-path "back")))))

(defn test-a-ckpt-in-the-old-form-is-refused [tmp-path run]
  "torch's form before zip files is one pickle after another."
  (setv path (nanogpt-in run (/ tmp-path "out")))
  (torch.save (ckpt-of path) path :_use-new-zipfile-serialization False)
  (assert (refusal import-checkpoint path (/ tmp-path "back"))))

(defn test-nothing-odd-is-taken-for-a-number [tmp-path run]
  "Step and loss may be anything; the model is still good."
  (for [odd ["seven" -1 (float "nan") (float "inf") (torch.ones 2) [1] None (** 10 30) True]]
    (setv path (rewritten (nanogpt-in run (/ tmp-path "out"))
                          (fn [ckpt] (.update ckpt {"iter_num" odd  "best_val_loss" odd})))
          meta (. (open-model (import-checkpoint path (/ tmp-path "back"))) meta))
    (assert (= (get meta "step") 0))
    (shutil.rmtree (/ tmp-path "out"))
    (shutil.rmtree (/ tmp-path "back"))))

(defn test-a-config-says-where-a-text-ends []
  (setv config (huggingface-config (GPTConfig :vocab-size 9) 7))
  (assert (= [(get config "bos_token_id") (get config "eos_token_id")] [7 7])))
